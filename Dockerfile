# The proxy as an image. It needs no shell, no root and no file system that can be written to.
# Pin the base by digest where you build: --build-arg PYTHON_IMAGE=python:3.13-slim-trixie@sha256:...
ARG PYTHON_IMAGE=python:3.13-slim-trixie

FROM ${PYTHON_IMAGE} AS build
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src
# Without pip: the image has no use for an installer.
RUN python -m venv --without-pip /opt/kzproxy
COPY requirements/build.txt requirements/server.txt requirements/
RUN python -m pip install --require-hashes --requirement requirements/build.txt \
 && python -m pip --python /opt/kzproxy/bin/python install \
    --require-hashes --only-binary :all: --requirement requirements/server.txt
COPY pyproject.toml README.md ./
COPY kzproxy kzproxy
RUN python -m pip wheel --no-deps --no-build-isolation --wheel-dir /wheels . \
 && python -m pip --python /opt/kzproxy/bin/python install --no-deps --no-index \
    --find-links /wheels kzproxy

FROM ${PYTHON_IMAGE}
LABEL org.opencontainers.image.title="kzproxy" \
      org.opencontainers.image.description="A zero-trust access proxy in front of kube-apiserver" \
      org.opencontainers.image.version="0.1.0"
RUN groupadd --gid 10001 kzproxy \
 && useradd --uid 10001 --gid kzproxy --no-create-home --home-dir /nonexistent \
    --shell /usr/sbin/nologin kzproxy
COPY --from=build /opt/kzproxy /opt/kzproxy
ENV PATH=/opt/kzproxy/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1
# By number: Kubernetes cannot tell from a name that a user is not root.
USER 10001:10001
# The API, and health with metrics.
EXPOSE 8443 9443
ENTRYPOINT ["kzproxy"]
CMD ["serve", "--config", "/etc/kzproxy/kzproxy.yaml"]

"""Fixtures for tests against the real components; ``tests/conftest.py`` makes them known to all."""

import os
from collections.abc import Iterator

import httpx
import pytest

from kzproxy.clock.system import SystemClock
from kzproxy.demo.binaries import Binaries
from kzproxy.demo.control_plane import ControlPlane
from tests.cluster.audit_log import AuditLog
from tests.cluster.binaries import built_directory
from tests.cluster.kubectl import Kubectl
from tests.cluster.namespaces import fresh_namespace
from tests.cluster.request_info_oracle import RequestInfoOracle


@pytest.fixture(scope="session")
def binaries() -> Binaries:
    """The control plane's programs, built from these very sources."""
    return Binaries.find(os.environ, built=built_directory())


@pytest.fixture(scope="session")
def control_plane(
    binaries: Binaries, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ControlPlane]:
    """A running cluster, one for all tests: mark the test ``cluster``, and use ``namespace``."""
    # The space is meant: a user's directory may hold one.
    directory = tmp_path_factory.mktemp("control plane")
    with ControlPlane(binaries, directory, clock=SystemClock()) as control_plane:
        yield control_plane


@pytest.fixture(scope="session")
def administrator(control_plane: ControlPlane) -> Iterator[httpx.Client]:
    """An HTTP client of the cluster's administrator, patient with a busy machine."""
    with control_plane.administrator() as api:
        api.timeout = httpx.Timeout(60)
        yield api


@pytest.fixture
def namespace(administrator: httpx.Client) -> Iterator[str]:
    """A namespace of the test's own; its end is not waited for."""
    with fresh_namespace(administrator) as name:
        yield name


@pytest.fixture
def kubectl(control_plane: ControlPlane, namespace: str) -> Kubectl:
    """Run kubectl as administrator, in the test's namespace; ``using`` gives other accounts."""
    return Kubectl.of(control_plane).using(namespace=namespace)


@pytest.fixture(scope="session")
def audit_log(control_plane: ControlPlane) -> AuditLog:
    """What the API server says was asked of it."""
    return AuditLog(control_plane.audit_log)


@pytest.fixture(scope="session")
def request_info_oracle() -> Iterator[RequestInfoOracle]:
    """kube-apiserver's own request parser. Mark the test ``cluster``."""
    with RequestInfoOracle(built_directory()) as oracle:
        yield oracle

"""kzproxy's own account at kube-apiserver: where it is, how it is trusted, who we are there."""

import ssl
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from kzproxy.clock.system import Clock
from kzproxy.errors.kinds import ServiceUnavailable
from kzproxy.transport.tls import upstream_context

# The kubelet renews a projected token at 80 % of its life; a minute is far inside the rest.
_TOKEN_RECHECK_SECONDS = 10.0
_MAX_TOKEN_BYTES = 64 * 1024


# Host and TCP port.
Endpoint = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpstreamSettings:
    """kube-apiserver and our credential for it.

    Attributes:
        host: Name or address to connect to.
        port: TCP port.
        server_name: What its certificate must name.
        authority_pem: The CAs that may vouch for it; empty for the system's.
        token_file: A bearer token that is read again when the file changes.
        token: A fixed bearer token, where a kubeconfig holds it in line.
        client_pem: Our certificate and its key; empty where a token speaks for us.
        others: Further endpoints of the same cluster, with API servers of the same name, CA and
            accounts.
    """

    host: str
    port: int
    server_name: str
    authority_pem: str = field(default="", repr=False)
    token_file: Path | None = None
    token: str = field(default="", repr=False)
    client_pem: str = field(default="", repr=False)
    others: tuple[Endpoint, ...] = ()

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """Return where API servers of the cluster can be reached, in the order of the file."""
        return ((self.host, self.port), *self.others)

    @property
    def authority(self) -> str:
        """Return the value of ``Host``."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 443 else f"{host}:{self.port}"


class Credential:
    """The ``Authorization`` of kzproxy itself, kept fresh."""

    def __init__(self, settings: UpstreamSettings, clock: Clock) -> None:
        self._file = settings.token_file
        self._clock = clock
        self._value = f"Bearer {settings.token}" if settings.token else ""
        self._checked_at = float("-inf")
        self._stamp: tuple[int, int] = (0, 0)

    def authorization(self) -> str:
        """Return the header's value; empty where a client certificate speaks for us.

        Raises:
            ServiceUnavailable: The token file cannot be read.
        """
        if self._file is not None:
            now = self._clock.monotonic()
            if now - self._checked_at >= _TOKEN_RECHECK_SECONDS:
                self._reread(self._file)
                self._checked_at = now
        return self._value

    def _reread(self, file: Path) -> None:
        try:
            status = file.stat()
            stamp = (status.st_mtime_ns, status.st_ino)
            if stamp == self._stamp and self._value:
                return
            with file.open(encoding="ascii") as opened:
                token = opened.read(_MAX_TOKEN_BYTES).strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ServiceUnavailable(
                "kzproxy cannot read its own credential for kube-apiserver",
                detail=f"{file}: {error}",
                retry_after_seconds=5,
            ) from error
        if not token:
            raise ServiceUnavailable(
                "kzproxy's own credential for kube-apiserver is empty",
                detail=str(file),
                retry_after_seconds=5,
            )
        self._value, self._stamp = f"Bearer {token}", stamp


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a connection to kube-apiserver needs."""

    settings: UpstreamSettings
    context: ssl.SSLContext
    credential: Credential

    @classmethod
    def of(cls, settings: UpstreamSettings, clock: Clock) -> "Account":
        """Build it.

        Raises:
            OSError, ValueError: A certificate or key is not what it should be.
        """
        return cls(
            settings=settings,
            context=upstream_context(settings.authority_pem, settings.client_pem),
            credential=Credential(settings, clock),
        )

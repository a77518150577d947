"""Who may ask the demo identity provider for tokens: native clients (RFC 8252), and servers."""

from dataclasses import dataclass, field
from urllib.parse import SplitResult, urlsplit

SCOPES = ("openid", "profile", "email", "groups", "offline_access")


@dataclass(frozen=True, slots=True, kw_only=True)
class Client:
    """A registered client; PKCE binds a code to it, whether or not it has a secret.

    Attributes:
        redirect_uris: Registered exactly, but that loopback ones are registered without a port.
        secret: Of a confidential client; empty for a public one.
    """

    client_id: str
    name: str
    redirect_uris: tuple[str, ...]
    secret: str = field(default="", repr=False)

    def accepts_redirect(self, uri: str) -> bool:
        """Return whether answers may be sent to ``uri``.

        RFC 9700 section 4.1.3: compared exactly. The one exception is RFC 8252 section 7.3: a
        native client picks its loopback port when it runs.
        """
        without_port = _without_loopback_port(uri)
        return uri in self.redirect_uris or without_port in self.redirect_uris


KZPROXY_CLIENT = Client(
    client_id="kzproxy",
    name="kzproxy, for kubectl",
    redirect_uris=("http://127.0.0.1/callback",),
)


def _without_loopback_port(uri: str) -> str | None:
    """Return ``uri`` without its port where it is plainly ``http://127.0.0.1:PORT...``."""
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme != "http" or parts.hostname != "127.0.0.1" or port is None:
        return None
    bare = SplitResult("http", "127.0.0.1", parts.path, parts.query, parts.fragment).geturl()
    # INVARIANT: only the port is left out. What urlsplit drops or repairs (tabs, user info,
    # case) makes the two differ here, and is then refused.
    return bare if uri == bare.replace("127.0.0.1", f"127.0.0.1:{port}", 1) else None

"""What kzproxy's own sign-in answers: a session token, its renewal token, a certificate."""

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from kzproxy.client.failure import ClientFailure
from kzproxy.client.issuer_http import Document

# Far above what a server should give; a number beyond it is a mistake.
LONGEST_TOKEN = timedelta(hours=1)
MAX_TEXT = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionGrant:
    """The answer to a sign-in or a renewal.

    Attributes:
        token: The session token.
        life: How long it holds from now on.
        renewal_token: Takes the place of the one before.
        certificate: PEM chain for the client's key; empty where none was issued.
        session_id: Public.
        session_ends_at: Aware, UTC.
        username: As the cluster knows them; empty where the answer does not say.
        nonce: For the next posture report; may be empty.
        posture_error: What was wrong with the report; empty: nothing.
    """

    token: str = field(repr=False)
    life: timedelta
    renewal_token: str = field(repr=False)
    certificate: str
    session_id: str
    session_ends_at: datetime
    username: str
    nonce: str
    posture_error: str

    def check(self, issuer: str, client_id: str, nonce: str | None) -> None:
        """Do nothing: that the answer is to this sign-in, PKCE alone has shown.

        The token is kzproxy's to read; there is no ``nonce`` in it.
        """


def parse_grant(document: Document) -> SessionGrant:
    """Read a token response.

    Raises:
        ClientFailure: It is not one of kzproxy's.
    """
    if str(document.get("token_type")).lower() != "bearer":
        raise ClientFailure(f"kzproxy gave a {document.get('token_type')!r} token")
    return SessionGrant(
        token=_text(document, "access_token"),
        life=_life(document),
        renewal_token=_text(document, "refresh_token"),
        certificate=_text(document, "certificate", required=False),
        session_id=_text(document, "session_id"),
        session_ends_at=_moment(document, "session_ends_at"),
        username=_text(document, "username", required=False),
        nonce=_text(document, "nonce", required=False),
        posture_error=_text(document, "posture_error", required=False)[:MAX_TEXT],
    )


def _text(document: Document, name: str, *, required: bool = True) -> str:
    value = document.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or (required and not value):
        raise ClientFailure(f"kzproxy's answer has no usable {name}; is --sign-in-url its own?")
    return value


def _life(document: Document) -> timedelta:
    seconds = document.get("expires_in")
    if isinstance(seconds, bool) or not isinstance(seconds, int) or seconds <= 0:
        raise ClientFailure("kzproxy's answer has no usable expires_in")
    return min(timedelta(seconds=min(seconds, 10**6)), LONGEST_TOKEN)


def _moment(document: Document, name: str) -> datetime:
    value = document.get(name)
    try:
        if isinstance(value, int) and not isinstance(value, bool):
            return datetime.fromtimestamp(value, UTC)
        found = datetime.fromisoformat(str(value))
    except (ValueError, OverflowError, OSError):
        raise ClientFailure(f"kzproxy's answer has no usable {name}") from None
    return found.astimezone(UTC) if found.tzinfo else found.replace(tzinfo=UTC)

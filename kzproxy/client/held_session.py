"""A session of kzproxy as its client holds it. Part of a warm run: see ``plugin_settings``.

The certificate stands beside the token, in one file that is replaced as a whole: the token is
bound to that very certificate (RFC 8705 section 3), and one without the other is refused.
"""

# The part of a certificate's life, at its end, in which the next one is asked for.
_RENEWED_IN_LAST = 1 / 3


class HeldSession:
    """What the sign-in at kzproxy gave.

    Attributes:
        id: Public; it stands in the decision log.
        username: As the cluster knows them.
        token: The session token: what kubectl sends.
        suspected_at: Unix seconds at which a token was last renewed because it seemed refused.
        ends_at: Unix seconds at which the session is over, whatever happens in it.
        certificate: PEM chain of the client's key, the leaf first.
        certificate_begins_at: Unix seconds, of the leaf.
        certificate_ends_at: Unix seconds, of the leaf.
        token_endpoint: Where it is renewed, so that a renewal is one request.
        revocation_endpoint: Where it is ended; empty where there is none.
        nonce_endpoint: Where a nonce for a posture report is had; empty where there is none.
        nonce: For the next posture report; may be empty.
        nonce_at: Unix seconds at which the nonce was received.
        posture_error: What was wrong with the last posture report; empty: nothing.
        end_message: Why the session is over, in the server's words; empty while it lasts.
    """

    __slots__ = (
        "certificate",
        "certificate_begins_at",
        "certificate_ends_at",
        "end_message",
        "ends_at",
        "id",
        "nonce",
        "nonce_at",
        "nonce_endpoint",
        "posture_error",
        "revocation_endpoint",
        "suspected_at",
        "token",
        "token_endpoint",
        "username",
    )

    def __init__(  # noqa: PLR0913 - a record, with each of its fields by name
        self,
        *,
        id: str,
        username: str,
        token: str,
        ends_at: int,
        certificate: str,
        certificate_begins_at: int,
        certificate_ends_at: int,
        token_endpoint: str,
        revocation_endpoint: str = "",
        nonce_endpoint: str = "",
        nonce: str = "",
        nonce_at: int = 0,
        suspected_at: int = 0,
        posture_error: str = "",
        end_message: str = "",
    ) -> None:
        self.id = id
        self.username = username
        self.token = token
        self.suspected_at = suspected_at
        self.ends_at = ends_at
        self.certificate = certificate
        self.certificate_begins_at = certificate_begins_at
        self.certificate_ends_at = certificate_ends_at
        self.token_endpoint = token_endpoint
        self.revocation_endpoint = revocation_endpoint
        self.nonce_endpoint = nonce_endpoint
        self.nonce = nonce
        self.nonce_at = nonce_at
        self.posture_error = posture_error
        self.end_message = end_message

    def __repr__(self) -> str:
        """Leave the token out."""
        return f"HeldSession(id={self.id!r}, username={self.username!r}, ends_at={self.ends_at})"

    def ended(self, message: str) -> "HeldSession":
        """Return the same without its token, and with the reason why it is over."""
        fields = session_fields(self)
        return read_session({**fields, "token": "", "nonce": "", "end_message": message})

    def suspected(self, now_seconds: float) -> "HeldSession":
        """Return the same, whose token seems to have been refused."""
        return read_session({**session_fields(self), "suspected_at": int(now_seconds)})

    def wants_certificate(self, now_seconds: float) -> bool:
        """Return whether the next renewal should ask for the next certificate too.

        Not at each renewal, though that would be simpler: when the certificate that a plugin gives
        changes, client-go closes every connection that it has, with all watches, logs and shells on
        them (tools `exec.go`, `connTracker.CloseAll`). In the last third of its life, with
        certificates of a day, that is at most once in sixteen hours, and there are eight more to
        come by in which the machine may sleep.
        """
        life = self.certificate_ends_at - self.certificate_begins_at
        return now_seconds >= self.certificate_ends_at - life * _RENEWED_IN_LAST


def read_session(document: object) -> HeldSession:
    """Read what ``session_fields`` gave.

    Raises:
        TypeError: It is something else.
    """
    if not isinstance(document, dict):
        raise TypeError("session")
    fields = {name: document[name] for name in HeldSession.__slots__ if name in document}
    for name, value in fields.items():
        if not isinstance(value, int if name.endswith("_at") else str) or isinstance(value, bool):
            raise TypeError(name)
    return HeldSession(**fields)


def session_fields(session: HeldSession) -> dict[str, object]:
    """Return every field, for a file."""
    return {name: getattr(session, name) for name in HeldSession.__slots__}

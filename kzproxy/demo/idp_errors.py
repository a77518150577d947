"""How a request to the demo identity provider ends badly: as JSON, as a redirect, or as a page."""


class OAuthError(Exception):
    """An answer of RFC 6749 section 5.2: JSON with ``error`` and ``error_description``."""

    def __init__(self, error: str, description: str, *, status: int = 400) -> None:
        super().__init__(f"{error}: {description}")
        self.error = error
        self.description = description
        self.status = status


class RedirectedError(OAuthError):
    """An answer of RFC 6749 section 4.1.2.1: the client learns it at its redirect URI."""

    def __init__(self, error: str, description: str, *, redirect_uri: str, state: str) -> None:
        super().__init__(error, description)
        self.redirect_uri = redirect_uri
        self.state = state


class PageRefusal(Exception):
    """An answer that only the person at the browser can be given, as a page.

    RFC 6749 section 4.1.2.1: never a redirect while the client or its redirect URI is in doubt.
    """

    def __init__(
        self, message: str, *, title: str = "This cannot go on", status: int = 400
    ) -> None:
        super().__init__(message)
        self.title = title
        self.message = message
        self.status = status

"""How a request to the sign-in listener ends badly: told to a client, or shown to a person."""

from collections.abc import Mapping

from kzproxy.errors.kinds import (
    BadRequest,
    Forbidden,
    PayloadTooLarge,
    ProxyError,
    ServiceUnavailable,
    TooManyRequests,
    Unauthenticated,
)

_BAD_REQUEST = 400


class OAuthError(Exception):
    """An error answer of RFC 6749 section 5.2, for a client.

    Attributes:
        error: The code.
        description: For the user, who is shown it by the client.
        status: Of the answer.
        retry_after_seconds: Sent as ``Retry-After``; None for none.
        further: Further members of the answer.
    """

    def __init__(
        self,
        error: str,
        description: str,
        *,
        status: int = _BAD_REQUEST,
        retry_after_seconds: int | None = None,
        further: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status
        self.retry_after_seconds = retry_after_seconds
        self.further = further or {}


class PageRefusal(Exception):
    """A page that says why it goes no further, for a person.

    Attributes:
        message: Sentences.
        title: Its heading.
        status: Of the answer.
    """

    def __init__(
        self, message: str, *, title: str = "That did not work", status: int = _BAD_REQUEST
    ) -> None:
        super().__init__(message)
        self.message = message
        self.title = title
        self.status = status


class OtherBrowser(PageRefusal):
    """What began in one browser came back in another, or in one that takes no cookies."""

    def __init__(self) -> None:
        super().__init__(
            "This sign-in was begun in another browser, or this one takes no cookies. If somebody"
            " sent you the link, do not follow it: they would be signed in as you, or you as them."
            " Otherwise run the command again and use the browser that it opens.",
            status=403,
        )


def as_oauth(error: ProxyError) -> OAuthError:
    """Return how a client is told; ``invalid_grant`` is what a new sign-in mends."""
    match error:
        case Unauthenticated() | Forbidden():
            return OAuthError("invalid_grant", error.message)
        case ServiceUnavailable() | TooManyRequests():
            return OAuthError(
                "temporarily_unavailable",
                error.message,
                status=error.code,
                retry_after_seconds=error.retry_after_seconds or 1,
            )
        case BadRequest() | PayloadTooLarge():
            return OAuthError("invalid_request", error.message, status=error.code)
        case _:
            return OAuthError("server_error", error.message, status=error.code)

"""How asking an identity provider ends badly: it says no, or it cannot be asked.

The two must not be confused. A no ends a sign-in at once. Silence ends nothing by itself: it is
borne for a grace that the operator sets, and then nobody is let in on it.
"""

from datetime import timedelta

MAX_TOLD_CHARACTERS = 200


class ProviderRefusal(Exception):
    """The provider was asked about somebody, and says no.

    Attributes:
        error: Its code, such as ``invalid_grant`` (RFC 6749 section 5.2).
        description: Its own words, made fit to be shown; may be empty.
    """

    def __init__(self, error: str, description: str = "") -> None:
        self.error = told(error)
        self.description = told(description)
        super().__init__(self.description or self.error)


class ProviderSilence(Exception):
    """The provider gave no answer that says anything about the person; a later try may.

    Time-outs, 429 and 5xx are such, and answers that cannot be read, and a provider that refuses
    kzproxy itself (``invalid_client``): that is for the operator to mend, not the user's doing.

    Attributes:
        retry_after: How long the provider wants to be left alone; None where it does not say.
        for_all: Whether it would say nothing about anybody else now either: it was not reached, is
            too slow, or says that it is busy. Elsewhere it may be about this one question alone.
    """

    def __init__(
        self, message: str, *, retry_after: timedelta | None = None, for_all: bool = False
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.for_all = for_all


def told(text: object) -> str:
    """Return another party's words as they may be shown and logged: one short, printable line."""
    if not isinstance(text, str):
        return ""
    shown = "".join(c if c.isprintable() else " " for c in text[: MAX_TOLD_CHARACTERS + 1])
    return shown if len(shown) <= MAX_TOLD_CHARACTERS else f"{shown[:MAX_TOLD_CHARACTERS]}..."

"""Signing in more strongly, or more freshly, than one is signed in (RFC 9470)."""

from collections.abc import Mapping
from dataclasses import dataclass

from kzproxy.client.failure import ClientFailure

MAX_AGE_SECONDS = 365 * 86400
MAX_ACR_VALUES = 1000
CANNOT_GO_ON = "your session cannot go on"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepUp:
    """What a sign-in must be like; nothing in it: any will do.

    Attributes:
        acr_values: Authentication context classes, apart by spaces, the preferred one first.
        max_age_seconds: How long ago the person may have shown who they are; None: however long.
    """

    acr_values: str = ""
    max_age_seconds: int | None = None

    def __bool__(self) -> bool:
        """Return whether anything is asked for."""
        return bool(self.acr_values) or self.max_age_seconds is not None

    @property
    def parameters(self) -> dict[str, str]:
        """Return what goes into the authorization request (OpenID Connect Core section 3.1.2.1)."""
        found = {}
        if self.acr_values:
            found["acr_values"] = self.acr_values
        if self.max_age_seconds is not None:
            found["max_age"] = str(self.max_age_seconds)
        return found

    @classmethod
    def parse(cls, document: Mapping[str, object]) -> "StepUp":
        """Read it off an error answer; what is not understood is not asked for."""
        acr_values, max_age = document.get("acr_values"), document.get("max_age")
        if isinstance(acr_values, list):
            acr_values = " ".join(str(value) for value in acr_values)
        if isinstance(max_age, str) and max_age.isascii() and max_age.isdecimal():
            max_age = int(max_age[:10])
        if not isinstance(max_age, int) or not 0 <= max_age <= MAX_AGE_SECONDS:
            max_age = None
        text = acr_values if isinstance(acr_values, str) and acr_values.isprintable() else ""
        return cls(acr_values=text[:MAX_ACR_VALUES], max_age_seconds=max_age)


ANY_SIGN_IN = StepUp()


class SessionEnded(ClientFailure):
    """kzproxy gives no further token: the user has to sign in again.

    Attributes:
        step_up: How.
        holds: The session itself goes on, with the token that there is, for what needs no more.
    """

    def __init__(self, said: str, step_up: StepUp = ANY_SIGN_IN, *, holds: bool = False) -> None:
        """Say it in kzproxy's words, where there are any."""
        super().__init__(said or "your session has ended")
        self.step_up = step_up
        self.holds = holds or bool(step_up)


def with_command(message: str, step_up: StepUp = ANY_SIGN_IN) -> str:
    """Return ``message`` with the command that helps, unless it names that already."""
    if "`kzproxy login --" in message or ("`kzproxy login" in message and not step_up):
        return message
    acr = f" --acr '{step_up.acr_values}'" if step_up.acr_values else ""
    age = step_up.max_age_seconds
    return f"{message}; run `kzproxy login{acr}{'' if age is None else f' --max-age {age}s'}`"

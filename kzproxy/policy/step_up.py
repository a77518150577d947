"""What a sign-in would have to be like, and the command that makes it so."""

import shlex
from datetime import timedelta

import msgspec

NOW = timedelta(0)
_UNITS = (("d", 86400), ("h", 3600), ("m", 60))


class StepUp(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in that is wanted.

    Attributes:
        acr_values: One of them is its class; empty where it does not matter.
        methods: One of them is among its methods; empty where it does not matter.
        max_age: At most so long ago; None where it does not matter.
    """

    acr_values: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    max_age: timedelta | None = None

    @property
    def asked_max_age(self) -> timedelta | None:
        """How old the identity provider may let a sign-in be.

        It is asked for classes and ages alone: for other methods the user has to sign in anew.
        """
        if self.methods and not self.acr_values and self.max_age is None:
            return NOW
        return self.max_age

    @property
    def command(self) -> str:
        """The command that mends it."""
        classes = f" --acr {shlex.quote(' '.join(self.acr_values))}" if self.acr_values else ""
        age = self.asked_max_age
        return f"kzproxy login{classes}{f' --max-age {_exactly(age)}' if age is not None else ''}"


ANY_SIGN_IN = StepUp()


def combined(one: StepUp, other: StepUp) -> StepUp | None:
    """Return what meets both; None where no sign-in does."""
    classes = _common(one.acr_values, other.acr_values)
    methods = _common(one.methods, other.methods)
    if classes is None or methods is None:
        return None
    ages = [each.max_age for each in (one, other) if each.max_age is not None]
    return StepUp(acr_values=classes, methods=methods, max_age=min(ages, default=None))


def _common(one: tuple[str, ...], other: tuple[str, ...]) -> tuple[str, ...] | None:
    if not one or not other:
        return one or other
    return tuple(each for each in one if each in other) or None


def _exactly(age: timedelta) -> str:
    seconds = int(age.total_seconds())
    for unit, size in _UNITS:
        if seconds and seconds % size == 0:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"

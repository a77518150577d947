"""The mistakes of configuration files, all reported at once."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """One thing that is wrong, where it stands and what is allowed there.

    Attributes:
        source: The file as the operator named it, or another name of the place.
        line: Counted from 1; 0 where the whole source is meant.
        column: Counted from 1; 0 where the whole line is meant.
        message: What is wrong and what would be right.
    """

    source: str
    message: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        """Return ``file:line:column: message``, as editors jump to."""
        place = ":".join([self.source, *(str(n) for n in (self.line, self.column) if n)])
        return f"{place}: {self.message}"


class ConfigurationError(Exception):
    """A configuration that kzproxy refuses to run with."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("\n".join(str(mistake) for mistake in mistakes))
        self.mistakes = tuple(mistakes)

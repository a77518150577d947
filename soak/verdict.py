"""What the soak asks at its end, line by line, and the table that says how it went."""

from collections.abc import Sequence
from dataclasses import dataclass

_SHOWN_PROBLEMS = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One thing that must hold.

    Attributes:
        name: What must hold.
        found: What there was, in a few words.
        problems: What does not hold and where; empty where all does.
    """

    name: str
    found: str
    problems: tuple[str, ...] = ()

    @property
    def holds(self) -> bool:
        """Whether nothing is wrong."""
        return not self.problems


def table(lines: Sequence[Line]) -> str:
    """Return a line for each, and below it what is wrong."""
    width = max(len(line.name) for line in lines)
    return "\n".join(text for line in lines for text in _told(line, width))


def passed(lines: Sequence[Line]) -> bool:
    """Whether all hold; of nothing at all nothing holds."""
    return bool(lines) and all(line.holds for line in lines)


def _told(line: Line, width: int) -> list[str]:
    mark = "ok  " if line.holds else "FAIL"
    more = len(line.problems) - _SHOWN_PROBLEMS
    return [
        f"{mark}  {line.name.ljust(width)}  {line.found}",
        *(f"        {problem}" for problem in line.problems[:_SHOWN_PROBLEMS]),
        *([f"        and {more} more"] if more > 0 else []),
    ]

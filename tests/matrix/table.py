"""What was measured, and how it is shown."""

from dataclasses import dataclass, field

from tests.matrix.streams import Kind


@dataclass
class Cell:
    """One fact and one kind of stream.

    Attributes:
        late_ms: From the fact to the last byte that the client got; 0 where none came after it.
        unread_late_ms: From the fact to when nothing was passed on any more, by the records, of
            the slower of two streams: that one, and one whose client does not read.
        problems: What was not as it must be.
    """

    late_ms: float = 0.0
    unread_late_ms: float = 0.0
    problems: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """As the table has it."""
        fails = " FAILS" if self.problems else ""
        return f"{self.late_ms:.0f} / {self.unread_late_ms:.0f}{fails}"


MEASURED: dict[str, dict[Kind, Cell]] = {}
"""By the fact's name; filled as facts are turned."""


def table() -> list[str]:
    """Return the lines of the table, in Markdown."""
    width = max((len(name) for name in MEASURED), default=4)
    columns = [(kind, max(len(kind), 13)) for kind in Kind]
    lines = [
        f"| {'fact':<{width}} | " + " | ".join(f"{kind:>{size}}" for kind, size in columns) + " |",
        f"|{'-' * (width + 2)}|" + "".join(f"{'-' * (size + 1)}:|" for _, size in columns),
    ]
    for name, cells in MEASURED.items():
        shown = " | ".join(f"{cells[kind].text:>{size}}" for kind, size in columns)
        lines.append(f"| {name:<{width}} | {shown} |")
    return lines

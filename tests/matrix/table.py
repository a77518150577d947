"""What was measured, and how it is shown."""

from dataclasses import dataclass, field

from tests.matrix.streams import Kind


@dataclass
class Cell:
    """One fact and one kind of stream.

    Attributes:
        late_ms: From the fact to the last byte that the client got; 0 where none came after it.
        problems: What was not as it must be.
    """

    late_ms: float = 0.0
    problems: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """As the table has it."""
        return f"{self.late_ms:.0f}{' FAILS' if self.problems else ''}"


MEASURED: dict[str, dict[Kind | str, Cell]] = {}
"""By the fact's name; filled as facts are turned. The last column is the client that does not
read."""

SILENT = "watch, client does not read"


def table() -> list[str]:
    """Return the lines of the table, in Markdown."""
    columns: list[Kind | str] = [*Kind, SILENT]
    width = max((len(name) for name in MEASURED), default=4)
    lines = [
        f"| {'fact':<{width}} | " + " | ".join(columns) + " |",
        f"|{'-' * (width + 2)}|" + "|".join("-" * (len(name) + 1) + ":" for name in columns) + "|",
    ]
    for name, cells in MEASURED.items():
        shown = [
            f"{cells[column].text if column in cells else '-':>{len(column)}}" for column in columns
        ]
        lines.append(f"| {name:<{width}} | " + " | ".join(shown) + " |")
    return lines

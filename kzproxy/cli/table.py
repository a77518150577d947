"""Rows in columns, as kubectl shows them."""

from collections.abc import Iterable, Iterator, Sequence

from kzproxy.client.notices import visible


def table_lines(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Iterator[str]:
    """Give the lines of a table; a narrow terminal wraps them.

    Nothing is cut: an id stands there to be copied. None is an empty cell.
    """
    texts = [[visible("" if cell is None else str(cell)) for cell in row] for row in rows]
    lines = [list(columns), *texts]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        yield "  ".join(padded).rstrip()

"""Write a file, read it, and see the mistakes as the operator would."""

from pathlib import Path
from textwrap import dedent

from kzproxy.config.document import Mistakes


def write(directory: Path, text: str, name: str = "file.yaml") -> Path:
    """Write text, without the indentation that it has in the test."""
    path = directory / name
    path.write_text(dedent(text).lstrip("\n"))
    return path


def lines(mistakes: Mistakes) -> list[str]:
    """Return the mistakes without the directory of their file."""
    return [str(m).removeprefix(str(Path(m.source).parent) + "/") for m in mistakes.found]

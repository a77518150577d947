"""What the user's side has to say to a person."""

from typing import TextIO


def visible(text: str) -> str:
    """Replace what a terminal could take for a command, as text from an issuer may hold it."""
    return "".join(character if character.isprintable() else "?" for character in text)


class Notices:
    """Lines on stderr; stdout belongs to kubectl."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def say(self, line: str) -> None:
        """Write one line; whatever is not printable in it is replaced."""
        self._stream.write(f"kzproxy: {visible(line)}\n")
        self._stream.flush()

    def seen_by_a_person(self) -> bool:
        """Return whether the lines go to a terminal."""
        return self._stream.isatty()

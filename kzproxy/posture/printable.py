"""Text from outside, as it is kept."""


def printable(text: str) -> str:
    """Return ``text`` without what a terminal or a log could take for something else."""
    return "".join(character for character in text if character.isprintable())

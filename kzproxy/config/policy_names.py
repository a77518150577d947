"""The names that an operator gives in an access policy; they appear in logs and refusals."""

import re

from kzproxy.config.document import Node

NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,61}[a-z0-9])?")
MAX_MESSAGE_CHARACTERS = 500


def checked_name(node: Node) -> str:
    """Return the name of a rule, network, calendar, condition, tier or policy."""
    name = node.string()
    if name and not NAME.fullmatch(name):
        node.mistake(
            f'"{name}" is no name: use lower-case letters, digits, "-" and ".", beginning and'
            " ending with a letter or digit, 63 at most"
        )
    return name


def checked_message(node: Node) -> str:
    """Return text for the user: one line, so that it cannot look like another message."""
    text = node.string()
    if not text.isprintable() or len(text) > MAX_MESSAGE_CHARACTERS:
        node.mistake(f"must be one line of at most {MAX_MESSAGE_CHARACTERS} characters")
    return text


def filled(node: Node, what: str) -> list[Node]:
    """Return the items of a list that must hold something: an empty one could mean all or none."""
    items = node.sequence()
    if node.is_sequence() and not items:
        node.mistake(f"an empty list could mean all or none; name {what}")
    return items

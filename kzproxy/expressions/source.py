"""The text of an expression: how long it may be, and where it falls apart."""

import re
from collections.abc import Iterator
from itertools import pairwise

import msgspec

from kzproxy.expressions.errors import ExpressionError

MAX_SOURCE_CHARACTERS = 2048
"""One policy rule's condition is a line or five. The library itself ends at 100,000 characters and
32 levels of brackets, and takes a fifth of a second for a chain of that length."""

_OPENING, _CLOSING = "([{", ")]}"

# Strings first: what stands in them is no operator. A raw string has no escapes.
_TOKEN = re.compile(
    r"""
    (?P<string> (?:[rR][bB]?|[bB][rR]) (?: \"{3}.*?\"{3} | '{3}.*?'{3} | "[^"\n]*" | '[^'\n]*' )
      | [bB]? (?: \"{3}(?:\\.|.)*?\"{3} | '{3}(?:\\.|.)*?'{3}
                | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' ) )
  | (?P<comment> //[^\n]* )
  | (?P<word> [\w$]+ )
  | (?P<operator> && | \|\| | [=!<>]= | [<>] )
  | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)


class _Token(msgspec.Struct, frozen=True):
    text: str
    kind: str
    start: int
    end: int


def check_length(text: str) -> None:
    """Refuse a text that is too long or holds what could not be read twice the same way.

    Raises:
        ExpressionError: It is.
    """
    if not text.strip():
        raise ExpressionError("must not be empty")
    if len(text) > MAX_SOURCE_CHARACTERS:
        raise ExpressionError(
            f"must not be longer than {MAX_SOURCE_CHARACTERS} characters; this has {len(text)}"
        )
    if not text.isprintable() and (bad := re.search(r"[^\S\n\t ]|[\x00-\x08\x0e-\x1f\x7f]", text)):
        raise ExpressionError("holds a control character", *place(text, bad.start()))
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise ExpressionError("holds half of a surrogate pair")


def place(text: str, offset: int) -> tuple[int, int]:
    """Return line and column, both from 1, of an offset in characters."""
    before = text[:offset]
    return before.count("\n") + 1, offset - (before.rfind("\n") + 1) + 1


def operands(text: str) -> tuple[str, tuple[str, ...]]:
    """Split at the operator that binds least; brackets around the whole come off first.

    Returns:
        The operator and its operands. Operators are ``?:``, ``||``, ``&&``, a comparison (``in`` is
        one) and ``!``; ``("", (text,))`` where there is none of these.
    """
    tokens = _stripped([token for token in _tokens(text) if token.kind != "comment"])
    whole = text[tokens[0].start : tokens[-1].end] if tokens else text
    outside = list(_outside(tokens))
    choice = _choice(outside)
    if choice:
        return "?:", _pieces(text, tokens, choice)
    for operator in ("||", "&&"):
        cuts = [token for token in outside if token.text == operator]
        if cuts:
            return operator, _pieces(text, tokens, cuts)
    compared = [token for token in outside if _compares(token)]
    if len(compared) == 1:
        return compared[0].text, _pieces(text, tokens, compared)
    if not compared and len(tokens) > 1 and tokens[0].text == "!":
        return "!", (text[tokens[1].start : tokens[-1].end],)
    return "", (whole,)


def presence_tests(text: str) -> Iterator[tuple[str, int]]:
    """Give what each ``has(...)`` asks for, spelled without blanks and brackets, and where."""
    if "has" not in text:
        return
    tokens = [token for token in _tokens(text) if token.kind != "comment"]
    for index, token in enumerate(tokens[:-1]):
        if token.text == "has" and tokens[index + 1].text == "(":
            inner = tokens[index + 1 : index + 2 + _closes_at(tokens[index + 1 :])]
            words = [one.text for one in inner if not _step(one)]
            yield "".join(words).lstrip("."), token.start


def _choice(outside: list[_Token]) -> list[_Token]:
    """Return the ``?`` and the ``:`` of the outermost ``a ? b : c``; neither where there is none.

    The ``?`` of ``a.?b`` and of ``a[?b]`` chooses nothing.
    """
    marks = [
        token
        for before, token in pairwise(outside)
        if token.kind == "other"
        and (token.text == ":" or (token.text == "?" and before.text != "."))
    ]
    open_choices = 0
    for mark in marks:
        open_choices += 1 if mark.text == "?" else -1
        if open_choices == 0:
            return [marks[0], mark]
    return []


_COMPARISONS = frozenset({"==", "!=", "<", "<=", ">", ">="})


def _compares(token: _Token) -> bool:
    return (token.kind == "operator" and token.text in _COMPARISONS) or (
        token.kind == "word" and token.text == "in"
    )


def _tokens(text: str) -> Iterator[_Token]:
    for match in _TOKEN.finditer(text):
        kind = match.lastgroup or ""
        if not (kind == "other" and match[0].isspace()):
            yield _Token(match[0], kind, match.start(), match.end())


def _stripped(tokens: list[_Token]) -> list[_Token]:
    """Take off brackets that hold the whole expression."""
    while len(tokens) > 2 and tokens[0].text == "(" and _closes_at(tokens) == len(tokens) - 1:
        tokens = tokens[1:-1]
    return tokens


def _closes_at(tokens: list[_Token]) -> int:
    depth = 0
    for index, token in enumerate(tokens):
        depth += _step(token)
        if depth == 0:
            return index
    return -1


def _step(token: _Token) -> int:
    if token.kind != "other":
        return 0
    return (token.text in _OPENING) - (token.text in _CLOSING)


def _outside(tokens: list[_Token]) -> Iterator[_Token]:
    """Give the tokens that stand in no brackets."""
    depth = 0
    for token in tokens:
        depth += _step(token)
        if depth == 0:
            yield token


def _pieces(text: str, tokens: list[_Token], cuts: list[_Token]) -> tuple[str, ...]:
    starts = [tokens[0].start, *(cut.end for cut in cuts)]
    ends = [*(cut.start for cut in cuts), tokens[-1].end]
    return tuple(text[start:end].strip() for start, end in zip(starts, ends, strict=True))

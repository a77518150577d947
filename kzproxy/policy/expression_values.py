"""An expression taken apart, each part with the value that it had: for an explanation.

Bounded in size, and what may hold a secret (the words of a command, the extra of a user) is not
shown, whatever an expression makes of it; whether something holds of it is.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import msgspec

from kzproxy.expressions.errors import ExpressionError, ExpressionFailedError
from kzproxy.expressions.language import Facts, Program
from kzproxy.expressions.shown import shown
from kzproxy.expressions.source import operands
from kzproxy.expressions.tree import Kind
from kzproxy.policy.expression import CONDITIONS, LANGUAGE, conditions_in

MAX_PARTS = 40
MAX_DEPTH = 8
NOT_KNOWN = "not known"
NOT_SHOWN = "(not shown: it may hold a secret)"
_GUARDED = frozenset({"user.extra", "request.command"})
# Of these nothing is learnt that could not be asked with an expression of one's own.
_HARMLESS_TYPES = frozenset({"BOOL", "INT"})


class Valued(msgspec.Struct, frozen=True, kw_only=True):
    """A part of an expression.

    Attributes:
        text: As written, or the name of an attribute.
        value: As CEL writes it; empty where there is none.
        error: Why there is none; empty where there is one.
        parts: What it is made of, as far as that is shown.
    """

    text: str
    value: str
    error: str = ""
    parts: tuple["Valued", ...] = ()


def values_in(text: str, facts: Facts) -> Valued:
    """Evaluate an expression of a policy part by part; ``text`` has been compiled before."""
    return _Reader(facts).read(text, LANGUAGE.compile(text), depth=0)


@dataclass(slots=True)
class _Reader:
    facts: Facts
    left: int = field(default=MAX_PARTS)

    def read(self, text: str, program: Program, *, depth: int) -> Valued:
        self.left -= 1
        value, error = self._value(program)
        parts: tuple[Valued, ...] = ()
        if depth < MAX_DEPTH and not _is_attribute(program):
            parts = tuple(self._parts(text, program, depth + 1))
        return Valued(text=_in_one_line(text), value=value, error=error, parts=parts)

    def _parts(self, text: str, program: Program, depth: int) -> Iterator[Valued]:
        pieces = _pieces(text)
        for piece, of_piece in pieces:
            # What reads nothing is worth what stands there.
            if of_piece.reads and self.left > 0:
                yield self.read(piece, of_piece, depth=depth)
        if not pieces:
            yield from self._attributes(program)

    def _attributes(self, program: Program) -> Iterator[Valued]:
        for name in sorted(program.reads - {CONDITIONS}):
            if self.left > 0:
                self.left -= 1
                value = self.facts.value(name)
                text = NOT_SHOWN if name in _GUARDED else shown(value)
                if value is None:
                    yield Valued(text=name, value="", error=NOT_KNOWN)
                else:
                    yield Valued(text=name, value=text)

    def _value(self, program: Program) -> tuple[str, str]:
        is_guarded = bool(program.reads & _GUARDED) and program.result_type not in _HARMLESS_TYPES
        try:
            value = program.shown(self.facts)
        except ExpressionFailedError as error:
            return "", self.why_not(program, error)
        return (NOT_SHOWN if is_guarded else value), ""

    def why_not(self, program: Program, error: ExpressionFailedError) -> str:
        """Say why there is no value: what is not known, else what the library says."""
        unknown = {name for name in program.reads if self.facts.value(name) is None}
        told = self.facts.value(CONDITIONS) if CONDITIONS in program.reads else None
        if isinstance(told, dict):
            named = conditions_in(program.tree)
            unknown |= {f"{CONDITIONS}.{name}" for name in named if name not in told}
        if not unknown:
            return f"error: {str(error).partition(chr(10))[0][:200]}"
        if _is_attribute(program):
            return NOT_KNOWN
        return f"cannot be told: {', '.join(sorted(unknown))} {_be(unknown)} not known"


def _be(several: set[str]) -> str:
    return "is" if len(several) == 1 else "are"


def _is_attribute(program: Program) -> bool:
    return program.tree.kind is Kind.NAME


def _pieces(text: str) -> list[tuple[str, Program]]:
    """Return the operands that stand by themselves; none where one does not."""
    operator, texts = operands(text)
    if not operator:
        return []
    try:
        return [(piece, LANGUAGE.compile(piece)) for piece in texts]
    except ExpressionError:
        return []


def _in_one_line(text: str) -> str:
    return " ".join(line.strip() for line in text.splitlines())

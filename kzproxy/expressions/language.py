"""A language: which variables are declared and which functions may be called."""

import difflib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from cel_expr_python import cel
from cel_expr_python.ext import ext_optional, ext_strings

from kzproxy.expressions.checks import Bounds, faults
from kzproxy.expressions.errors import ExpressionError, ExpressionFailedError
from kzproxy.expressions.library import ADDRESS_LIBRARY, KUBERNETES_FUNCTIONS, OPERATORS, Function
from kzproxy.expressions.shown import shown_result
from kzproxy.expressions.source import check_length, place, presence_tests
from kzproxy.expressions.tree import Kind, Tree, read_tree

Value = bool | int | float | str | list[Any] | dict[str, Any] | object
Lookup = Callable[[str], Value | None]

_PLACE = re.compile(r"ERROR: <input>:(-?\d+):(-?\d+): (.*)")
_STATUS = re.compile(r"^[A-Z_]+: ")


class Facts:
    """The values of the variables for one judgement, shared by all expressions judged with them.

    Each is looked up once, when the first expression that reads it is evaluated. None is a value
    that is not known: what needs it fails.
    """

    __slots__ = ("_activations", "_language", "_lookup", "_values")

    def __init__(self, language: "Language", lookup: Lookup) -> None:
        """Take where values come from.

        Args:
            language: That the expressions are compiled in.
            lookup: Gives the value of a variable; asked at most once for each.
        """
        self._language = language
        self._lookup = lookup
        self._values: dict[str, Value | None] = {}
        self._activations: dict[frozenset[str], Any] = {}

    def activation(self, reads: frozenset[str]) -> Any:
        """Return what the library takes for the values of ``reads``."""
        activation = self._activations.get(reads)
        if activation is None:
            values = {name: self.value(name) for name in reads}
            known = {name: value for name, value in values.items() if value is not None}
            activation = self._language.activation(known)
            self._activations[reads] = activation
        return activation

    def value(self, name: str) -> Value | None:
        """Return the value of one variable; None where it is not known or cannot be passed on."""
        if name not in self._values:
            value = self._lookup(name)
            self._values[name] = value if value is not None and is_sound(value) else None
        return self._values[name]


def is_sound(value: Value) -> bool:
    """Tell whether the library would read a value as what it is.

    It ends a text at a NUL character, which makes one name of another, has no text for half a
    surrogate pair and no number beyond 64 bits.
    """
    if isinstance(value, str):
        return "\0" not in value and not _has_surrogate(value)
    if isinstance(value, list):
        return all(is_sound(item) for item in value)
    if isinstance(value, dict):
        return all(is_sound(key) and is_sound(item) for key, item in value.items())
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return True


def _has_surrogate(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text)


class Program:
    """A compiled expression; evaluate it with ``truth`` or ``result``.

    Attributes:
        text: As it was written.
        tree: What it consists of.
        reads: The variables it reads.
        result_type: What it gives, as CEL names it: ``BOOL``, ``DYN``, ``LIST<STRING>``.
    """

    __slots__ = ("_compiled", "reads", "result_type", "text", "tree")

    def __init__(self, text: str, compiled: Any, tree: Tree, reads: frozenset[str]) -> None:
        self.text = text
        self.tree = tree
        self.reads = reads
        self.result_type = str(compiled.return_type().name())
        self._compiled = compiled

    def truth(self, facts: Facts) -> bool:
        """Evaluate an expression whose ``result_type`` is BOOL.

        Raises:
            ExpressionFailedError: There is no result.
        """
        value = self._evaluated(facts).value()
        if value is True or value is False:
            return bool(value)
        raise ExpressionFailedError(_STATUS.sub("", str(value)))

    def result(self, facts: Facts) -> Value | None:
        """Evaluate to a string, a bool, None or a list of what these are.

        Raises:
            ExpressionFailedError: There is no result, or it is of another type.
        """
        return _plain(self._evaluated(facts))

    def shown(self, facts: Facts) -> str:
        """Evaluate to a text for people, as ``shown`` writes values.

        Raises:
            ExpressionFailedError: There is no result, or none that can be shown.
        """
        value = self._evaluated(facts)
        if value.type() == cel.Type.ERROR:
            raise ExpressionFailedError(_why(value))
        return shown_result(value)

    def _evaluated(self, facts: Facts) -> Any:
        try:
            return self._compiled.eval(facts.activation(self.reads))
        except RuntimeError as error:  # the library's own bound on steps
            raise ExpressionFailedError(_STATUS.sub("", str(error))) from error


def _plain(value: Any) -> Value | None:
    """Convert what the library gives, type first: it miscounts its references to None."""
    kind = value.type()
    if kind == cel.Type.NULL:
        return None
    if kind in (cel.Type.BOOL, cel.Type.STRING):
        return value.value()  # type: ignore[no-any-return]
    if str(kind.name()).startswith("LIST"):
        return [_plain(item) for item in value.value()]
    if kind == cel.Type.ERROR:
        raise ExpressionFailedError(_why(value))
    raise ExpressionFailedError(f"the result is a {kind.name()}")


def _why(value: Any) -> str:
    try:
        return _STATUS.sub("", str(value.value()))
    except TypeError:  # no error but an optional, for which Python has nothing
        return "the result is an optional; end with .orValue(...)"


class Language:
    """Compiles expressions over declared variables."""

    def __init__(
        self,
        variables: Mapping[str, Any],
        *,
        functions: Sequence[Function] = (),
        once: frozenset[str] = frozenset(),
        reads_claims: bool = False,
    ) -> None:
        """Declare what expressions may name.

        Args:
            variables: Types by name; a name may hold dots.
            functions: Beyond those of Kubernetes.
            once: See ``Bounds``.
            reads_claims: Whether it is kube-apiserver's own language for tokens, with numbers that
                have a point and its escapes in names.
        """
        own = (*ADDRESS_LIBRARY, *functions)
        self._environment = cel.NewEnv(
            variables=dict(variables),
            extensions=[
                ext_strings.ExtStrings(),
                ext_optional.ExtOptional(),
                cel.CelExtension("kzproxy", [function.declaration() for function in own]),
            ],
        )
        self._bounds = Bounds(
            functions=KUBERNETES_FUNCTIONS
            | {function.name for function in functions}
            | ({"dyn"} if reads_claims else set()),
            variables=frozenset(variables),
            once=once,
            floats=reads_claims,
            escapes=reads_claims,
            computes=self._failure,
        )

    def compile(self, text: str) -> Program:
        """Compile an expression.

        Raises:
            ExpressionError: It is wrong, too large, or holds what is not taken here.
        """
        check_length(text)
        for name, offset in presence_tests(text):
            if name in self._bounds.variables:
                # The library would take the variable's own value for the answer.
                words = f"`has` asks for a member of a map, and `{name}` is none"
                raise ExpressionError(words, *place(text, offset))
        compiled = self._compiled(text)
        tree = read_tree(compiled.serialize())
        for fault in sorted(faults(tree, self._bounds), key=lambda fault: fault.offset):
            raise ExpressionError(fault.message, *place(text, fault.offset))
        reads = frozenset(node.name for node in tree.nodes() if node.kind is Kind.NAME)
        program = Program(text, compiled, tree, reads & self._bounds.variables)
        # The library plans an expression when it is first evaluated; better now than in a request.
        compiled.eval(self.activation({}))
        return program

    def activation(self, values: Mapping[str, Value]) -> Any:
        """Return what the library takes for values."""
        return self._environment.Activation(dict(values))

    def _compiled(self, text: str) -> Any:
        try:
            return self._environment.compile(text)
        except (RuntimeError, TypeError, UnicodeError) as error:
            raise _located(str(error), self._bounds.variables | self._bounds.functions) from error

    def _failure(self, text: str) -> str:
        """Say why a small expression without variables has no result; empty where it has."""
        value = self._environment.compile(text).eval(self.activation({}))
        if value.type() == cel.Type.ERROR:
            return _STATUS.sub("", str(value.value()))
        return ""


def _located(message: str, names: Collection[str]) -> ExpressionError:
    match = _PLACE.search(message)
    if match is None:
        return ExpressionError(_worded(_STATUS.sub("", message), names))
    line, column, what = match.groups()
    return ExpressionError(_worded(what, names), max(int(line), 1), max(int(column), 1))


def _worded(what: str, names: Collection[str]) -> str:
    what = what.removesuffix(" [INVALID_ARGUMENT]").split(" expecting ")[0]
    if unknown := re.match(r"undeclared reference to '(.*)' \(in container ''\)", what):
        near = difflib.get_close_matches(unknown[1], names, 1)
        ending = f"; did you mean `{near[0]}`?" if near else ""
        return f"nothing is known here by the name `{unknown[1]}`{ending}"
    if mismatch := re.match(r"found no matching overload for '(.*)' applied to '(.*)'", what):
        name = OPERATORS.get(mismatch[1], mismatch[1])
        return f"`{name}` cannot be applied to {mismatch[2]}"
    if "recursion" in what:
        return "is nested too deeply, or a chain of operators is too long; 32 levels are read"
    return what

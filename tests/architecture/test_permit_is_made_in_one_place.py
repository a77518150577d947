"""No permit, no upstream: and a ``Permit`` is made by the policy engine alone."""

import ast
from pathlib import Path

import pytest

import kzproxy

PACKAGE = Path(kzproxy.__file__).parent
MAKER = Path("policy/engine.py")
DECLARATION = Path("policy/decision.py")


def constructions(source: str) -> list[int]:
    """Return the lines that make a ``Permit``, or could: by name, copy, alias or subclass."""
    return [node.lineno for node in ast.walk(ast.parse(source)) if _makes_permit(node)]


def _makes_permit(node: ast.AST) -> bool:
    match node:
        case ast.Call():
            return _call_makes_permit(node)
        case ast.ClassDef(bases=bases):
            return any(_is_permit(base) for base in bases)
        case ast.Assign(value=value):
            return _is_permit(value)
        case ast.alias(name="Permit", asname=str()):
            return True
    return False


def _call_makes_permit(call: ast.Call) -> bool:
    called = _name(call.func)
    if called in {"isinstance", "issubclass"}:
        return False
    if called == "replace" and any("permit" in _name(part).lower() for part in call.args[:1]):
        return True
    handed_over = [*call.args, *(keyword.value for keyword in call.keywords)]
    owner = [call.func.value] if isinstance(call.func, ast.Attribute) else []
    return any(_is_permit(part) for part in (call.func, *owner, *handed_over))


def _is_permit(node: ast.expr) -> bool:
    return _name(node) == "Permit"


def _name(node: ast.expr) -> str:
    """Return the last word of ``a`` or ``a.b``, else nothing."""
    return getattr(node, "id", "") or getattr(node, "attr", "")


def makers() -> dict[Path, list[int]]:
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        lines = constructions(path.read_text())
        if lines:
            found[path.relative_to(PACKAGE)] = lines
    return found


def test_only_the_engine_makes_a_permit():
    assert list(makers()) == [MAKER]


def test_the_engine_makes_it_in_one_place():
    assert len(makers()[MAKER]) == 1


def test_permit_is_declared_where_the_engine_finds_it():
    assert "class Permit(" in (PACKAGE / DECLARATION).read_text()


@pytest.mark.parametrize(
    "source",
    [
        "Permit(rule='x')",
        "decision.Permit(rule='x')",
        "make = Permit",
        "from kzproxy.policy.decision import Permit as P",
        "class Mine(Permit): ...",
        "object.__new__(Permit)",
        "Permit.__new__(Permit)",
        "functools.partial(Permit, rule='x')",
        "msgspec.convert(data, type=Permit)",
        "map(Permit, rules)",
        "replace(permit, rule='x')",
        "replace(self.permit, rule='x')",
    ],
)
def test_the_ways_around_it_are_seen(source):
    assert constructions(source) != []


@pytest.mark.parametrize(
    "source",
    [
        "def send(permit: Permit) -> Permit: ...",
        "isinstance(decision, Permit)",
        "match decision:\n    case Permit(): pass",
        "Decision = Permit | Deny",
        "from kzproxy.policy.decision import Permit",
        "name.replace('a', 'b')",
    ],
)
def test_taking_a_permit_is_not_making_one(source):
    assert constructions(source) == []

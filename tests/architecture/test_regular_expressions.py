"""Regular expressions that every Python we run on reads alike.

Until 3.11.5, as Debian 12 has it, a group that is repeated possessively goes on from the middle of
the round that failed (https://github.com/python/cpython/issues/106052): ``(?:ab?c)*+`` takes the
``a`` of ``a``. Single characters repeated so are read right by all.
"""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from re import _constants, _parser  # type: ignore[attr-defined]
from typing import Any

import kzproxy


def expressions() -> Iterator[tuple[str, re.Pattern[Any]]]:
    """Every one that a module of the package holds, by its name."""
    for module in pkgutil.walk_packages(kzproxy.__path__, "kzproxy."):
        if module.name.endswith("__main__"):
            continue
        for name, value in vars(importlib.import_module(module.name)).items():
            if isinstance(value, re.Pattern):
                yield f"{module.name}.{name}", value


def possessive_groups(parsed: Any) -> Iterator[Any]:
    """Whatever is repeated possessively and is not one character."""
    for operation, argument in parsed:
        if operation is _constants.POSSESSIVE_REPEAT:
            repeated = argument[2]
            if repeated.getwidth() != (1, 1) or repeated[0][0] is _constants.SUBPATTERN:
                yield repeated
        for part in _parts(argument):
            yield from possessive_groups(part)


def _parts(argument: Any) -> Iterator[Any]:
    if isinstance(argument, _parser.SubPattern):
        yield argument
    elif isinstance(argument, list | tuple):
        for each in argument:
            yield from _parts(each)


def test_no_group_is_repeated_possessively() -> None:
    found = {
        name
        for name, each in expressions()
        if any(possessive_groups(_parser.parse(each.pattern, each.flags & ~re.UNICODE)))
    }

    assert found == set()


def test_the_walk_sees_expressions_and_what_is_in_them() -> None:
    """Else the test above could not fail."""
    assert len(dict(expressions())) > 40
    for harmful in (r"(?:ab?c)*+", r"x(?:y|(?:ab)++)", rb"(a(?:bc)?+)", r"(?:ab){2,3}+", r"(a)*+"):
        assert any(possessive_groups(_parser.parse(harmful)))
    for harmless in (r"[a-z]*+", r".++", r"a?+(?:b[cd]*+)*", r"(?:a{1,3}+b)?"):
        assert not any(possessive_groups(_parser.parse(harmless)))

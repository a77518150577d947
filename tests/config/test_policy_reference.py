"""docs/reference/policy.md says what the loader and the engine do."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kzproxy.config.access_policy import load_access_policies
from kzproxy.config.document import Mistakes
from kzproxy.config.policy_contexts import CIDR, DATE
from kzproxy.config.policy_durations import DURATION
from kzproxy.config.policy_names import NAME
from kzproxy.config.policy_schema import access_policy_schema
from kzproxy.policy.decision import Cause, Dependency
from kzproxy.policy.vocabulary import CHECKED_VERBS, RESOURCE_VERBS, URL_VERBS

REFERENCE = (Path(__file__).parents[2] / "docs" / "reference" / "policy.md").read_text()
GRAMMAR = re.findall(r"```ebnf\n(.*?)```", REFERENCE, re.DOTALL)[0]
EXAMPLES = re.findall(r"```yaml\n(.*?)```", REFERENCE, re.DOTALL)


def test_the_examples_are_found():
    assert len(EXAMPLES) == 5


@pytest.mark.parametrize("example", EXAMPLES)
def test_each_example_is_a_policy(tmp_path, example):
    path = tmp_path / "example.yaml"
    path.write_text(example)
    mistakes = Mistakes()

    assert load_access_policies([path], mistakes).rules
    mistakes.raise_if_any()


def test_the_examples_can_be_used_together(tmp_path):
    path = tmp_path / "examples.yaml"
    path.write_text("---\n".join(EXAMPLES))
    mistakes = Mistakes()

    load_access_policies([path], mistakes)

    mistakes.raise_if_any()


@pytest.mark.parametrize(
    "word", [*RESOURCE_VERBS, *URL_VERBS, *CHECKED_VERBS, *Dependency, *(c.value for c in Cause)]
)
def test_every_word_is_explained(word):
    assert f"`{word}`" in REFERENCE


def without_literals(grammar: str) -> str:
    """Leave out remarks, literals and regular expressions."""
    bare = re.sub(r"-- .*", "", re.sub(r'"[^"]*"', "", grammar))
    return re.sub(r"= /.*", "=", bare)


def parts_of(schema: Any) -> Iterator[dict[str, Any]]:
    if isinstance(schema, list):
        for each in schema:
            yield from parts_of(each)
    elif isinstance(schema, dict):
        yield schema
        for each in schema.values():
            yield from parts_of(each)


# tests/config/test_policy_schema.py holds the schema to the loader, this the grammar to the schema.
SCHEMA = list(parts_of(access_policy_schema()))
FIELDS = {
    name
    for part in SCHEMA
    if part.get("additionalProperties") is False
    for name in part["properties"]
}
WORDS = {
    word
    for part in SCHEMA
    if part.get("type") == "string"
    for word in part.get("enum", ())
    if isinstance(word, str)
}


def test_the_grammar_has_every_field_and_no_other():
    written = re.findall(r"\b([a-z]\w*)\??:", without_literals(GRAMMAR))

    assert set(written) == FIELDS


def test_the_grammar_has_every_word_and_no_other():
    literals = set(re.findall(r'"([^"\n]*)"', re.sub(r"-- .*", "", GRAMMAR)))
    other = {"", "!", "/", "/*", "*/", "*/*", "?", "#", "%", "\\", "//", "=", ",", "-", ".", "_"}
    values = {"24:00", "spiffe://", "Europe/Prague", "expressions.md", "---"}

    assert literals >= WORDS
    assert literals - WORDS - other - values == {"system:anonymous", "system:unauthenticated"}


def test_the_grammar_says_what_each_of_its_names_is():
    defined = re.findall(r"^([A-Z]\w+) +=", GRAMMAR, re.MULTILINE)
    used = set(re.findall(r"\b[A-Z]\w+", without_literals(GRAMMAR)))

    assert len(defined) == len(set(defined)) > 30
    assert used - set(defined) == {"Domain", "Object", "Namespace", "YAML"} & used


@pytest.mark.parametrize(
    ("name", "pattern"), [("Name", NAME), ("Duration", DURATION), ("Cidr", CIDR), ("Date", DATE)]
)
def test_the_grammar_has_the_patterns_of_the_loader(name, pattern):
    assert re.search(rf"^{name} += /{re.escape(pattern.pattern)}/", GRAMMAR, re.MULTILINE)

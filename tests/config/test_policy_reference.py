"""docs/reference/policy.md says what the loader and the engine do."""

import re
from pathlib import Path

import pytest

from kzproxy.config.access_policy import load_access_policies
from kzproxy.config.document import Mistakes
from kzproxy.policy.decision import Cause, Dependency
from kzproxy.policy.vocabulary import CHECKED_VERBS, RESOURCE_VERBS, URL_VERBS

REFERENCE = (Path(__file__).parents[2] / "docs" / "reference" / "policy.md").read_text()
EXAMPLES = re.findall(r"```yaml\n(.*?)```", REFERENCE, re.DOTALL)


def test_the_examples_are_found():
    assert len(EXAMPLES) == 3


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

"""The policies in config/ hold what their own test files say, and no lint finds anything."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from kzproxy.config.mistakes import Mistakes
from kzproxy.policy_tools.case_file import Coverage, load_case_file
from kzproxy.policy_tools.check import CheckOptions, check_policies
from kzproxy.policy_tools.run_cases import run_case_file

CONFIG = Path(__file__).parents[2] / "config"
TESTS = sorted(CONFIG.glob("policies/*.test.yaml"))
POLICIES = [CONFIG / "policy.yaml", *sorted(set(CONFIG.glob("policies/*.yaml")) - set(TESTS))]
AT = datetime(2026, 3, 4, tzinfo=UTC)


def test_each_policy_has_a_test_file():
    tested = {file.name.removesuffix(".test.yaml") for file in TESTS}
    assert tested == {file.stem for file in POLICIES if file.parent != CONFIG}
    assert tested


@pytest.mark.parametrize("path", POLICIES, ids=lambda path: path.stem)
def test_no_lint_finds_anything(path):
    assert check_policies([path], CheckOptions(at=AT)) == ()


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_every_case_is_as_expected_and_everything_is_tried(path):
    mistakes = Mistakes()
    file = load_case_file(path, mistakes)
    mistakes.raise_if_any()

    result = run_case_file(file)

    assert [one.case.name for one in result.results if one.differences] == []
    assert result.gaps == ()
    assert file.rule_coverage is Coverage.BOTH
    assert file.obligation_coverage is Coverage.BOTH

"""What the lint calls superfluous decides nothing: removing it changes no decision."""

from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kzproxy.errors.configuration import ConfigurationError
from kzproxy.policy.decision import Permit
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy_tools.check import CheckOptions, check_policies
from kzproxy.policy_tools.finding import Lint
from tests.policy_tools.asking import AT, questions
from tests.policy_tools.policies import loaded, written
from tests.policy_tools.random_policies import DEFINITIONS, policies

SUPERFLUOUS = {Lint.ALWAYS_DENIED, Lint.COVERED, Lint.NEVER_MATCHES}


@settings(max_examples=80, deadline=None)
@given(rules=policies(), questions=st.lists(questions(), min_size=20, max_size=40))
def test_removing_what_the_lint_calls_superfluous_changes_no_decision(rules, questions):
    with TemporaryDirectory() as directory:
        path = written(Path(directory), rules, DEFINITIONS)
        try:
            policy = loaded(path)
        except ConfigurationError:  # a rule that the loader refuses is no example
            return
        findings = check_policies([path], CheckOptions(at=AT))
    whole = PolicyEngine(policy)
    for finding in findings:
        if finding.lint not in SUPERFLUOUS or not finding.rule:
            continue
        rest = tuple(one for one in policy.rules if one.id != finding.rule)
        without = PolicyEngine(replace(policy, rules=rest))
        for attributes in questions:
            before, after = whole.decide(attributes), without.decide(attributes)
            assert isinstance(before, Permit) == isinstance(after, Permit)
            if isinstance(before, Permit):
                assert before.rule == after.rule

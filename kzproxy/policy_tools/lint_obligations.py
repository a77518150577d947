"""Allow rules whose obligations nobody whom they mean can ever meet."""

from collections.abc import Iterator

from kzproxy.policy.vocabulary import CHANGING_VERBS, CONNECT, PROXY
from kzproxy.policy_tools.finding import Finding, Lint
from kzproxy.policy_tools.policy_text import WORKLOADS, PolicyText, RuleText

_CHANGING = frozenset({*CHANGING_VERBS, CONNECT, PROXY, "post", "put"})
_NO_DRY_RUN = frozenset({CONNECT, PROXY})


def unmeetable(text: PolicyText) -> Iterator[Finding]:
    """Find them: a workload asked to sign in again, a change that must only read."""
    for rule in text.rules:
        for name, why in _impossible(rule):
            yield Finding(
                lint=Lint.UNMEETABLE,
                place=rule.at("obligations"),
                rule=rule.id,
                message=f"obligation {name} is never met: {why}",
            )


def _impossible(rule: RuleText) -> Iterator[tuple[str, str]]:
    verbs = {verb for match in rule.matches for verb in match.verbs}
    if rule.obligations.get("readOnly") is True and verbs <= _CHANGING:
        yield "readOnly", "the rule names no verb that reads"
    if rule.obligations.get("dryRunOnly") is True and verbs <= _NO_DRY_RUN:
        yield "dryRunOnly", "connect and proxy cannot be tried without doing them"
    if {kind for kind, _ in rule.subjects} <= WORKLOADS:
        for name in ("mfa", "reauth", "reason"):
            if name in rule.obligations:
                yield name, "the rule means workloads alone, and only people sign in"

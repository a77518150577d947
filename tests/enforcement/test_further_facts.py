"""What is found out only where it counts changes no answer."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kzproxy.administrator.administrator import Administrator
from kzproxy.administrator.reasons import Reason, ReasonSettings, ReasonStore
from kzproxy.attributes.api_object import ApiObject, Labels
from kzproxy.attributes.attributes import Attributes
from kzproxy.enforcement.further_facts import FurtherFacts
from kzproxy.policy.decision import Permit
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.object_requests import has_object
from kzproxy.policy.obligations import Obligations
from kzproxy.policy.rules import AccessPolicySet, Rule
from tests.administrator.test_administrator import TRUST
from tests.authentication.manual_clock import ManualClock
from tests.policy.samples import allow, asked, match, subject
from tests.policy.small_world import (
    EXPRESSIONS,
    broad_rules,
    engine_of,
    narrow_policies,
    policies,
    requests,
)

HOUR = timedelta(hours=1)
EVERYTHING = match("*", "*")
POD = "/api/v1/namespaces/dev/pods/a"


class Truth:
    """What users have said, kube-apiserver has, and bodies hold: asked only where it counts."""

    is_lost = False

    def __init__(self, whole: Attributes) -> None:
        self._whole = whole

    def of(self, namespace: str) -> Labels | None:
        """Know no namespace: the watch has not brought it yet."""
        del namespace

    async def look_up(self, _: str) -> Labels | None:
        return self._whole.namespace_labels

    def read(self, session: str, user: str, now: datetime) -> Reason | None:
        text = self._whole.environment.reason
        return Reason(session=session, user=user, text=text, ends_at=now + HOUR) if text else None

    async def object_of(self, *_: object) -> ApiObject | None:
        return self._whole.api_object

    async def asks_for_dry_run(self, *_: object) -> bool:
        return self._whole.request.dry_run_in_body is True


def judged(engine: PolicyEngine, known: Attributes, **found: Any) -> Any:
    """Judge by what is known, and by what is found out because it counts."""
    administrator = Administrator(engine, TRUST, ManualClock())
    facts = FurtherFacts(administrator=administrator, **found)
    nothing: Any = None
    return asyncio.run(facts.judged(known, nothing, nothing, "s")).decision


def unknown(whole: Attributes) -> Attributes:
    """Return what is known of a request before anything is found out."""
    info = whole.request
    if info.dry_run_in_body is not None:
        info = replace(info, dry_run_in_body=False)
    environment = replace(whole.environment, reason="")
    return replace(
        whole, request=info, environment=environment, namespace_labels=None, api_object=None
    )


@settings(max_examples=100)
@given(
    policy=policies | narrow_policies() | st.lists(broad_rules(), min_size=2, max_size=3),
    whole=requests(),
    in_body=st.none() | st.booleans(),
)
def test_nothing_comes_out_otherwise_than_if_all_was_known_from_the_start(
    policy: list[Rule], whole: Attributes, in_body: bool | None
) -> None:
    info = whole.request
    if in_body is not None and info.verb in ("delete", "deletecollection"):
        whole = replace(whole, request=replace(info, dry_run_in_body=in_body))
    if not has_object(info.verb, info.api_group, info.resource, info.subresource):
        whole = replace(whole, api_object=None)
    engine, world = engine_of(policy), Truth(whole)
    labels = world if engine.needs_namespace_labels else None

    decision = judged(engine, unknown(whole), objects=world, reasons=world, namespaces=labels)

    expected = engine_of(policy).decide(whole)
    assert type(decision) is type(expected)
    if isinstance(expected, Permit):
        assert decision.rule == expected.rule


@pytest.mark.parametrize(
    "first",
    [
        allow("first", EVERYTHING, obligations=Obligations(reason=True, max_session=8 * HOUR)),
        allow("first", EVERYTHING, when=EXPRESSIONS['request.reason.startsWith("INC-")']),
    ],
)
def test_a_rule_that_wants_a_reason_permits_whoever_gave_one_before_a_rule_that_wants_none(
    tmp_path: Path, first: Rule
) -> None:
    """Else whoever gave it would get what the other rule gives: a shorter session, say."""
    second = allow("second", EVERYTHING, obligations=Obligations(max_session=HOUR))
    engine = PolicyEngine(AccessPolicySet(rules=(first, second)))
    reasons = ReasonStore.open(ReasonSettings(directory=tmp_path / "reasons", maximum=HOUR))
    request = asked("GET", POD)
    now = request.environment.received_at

    without = judged(engine, request, objects=None, reasons=reasons)
    given_one = Reason(session="s", user=subject().username, text="INC-1", ends_at=now + HOUR)
    reasons.write(given_one, now)
    with_reason = judged(engine, request, objects=None, reasons=reasons)

    assert (without.rule, with_reason.rule) == ("second", "first")


def test_a_rule_on_labels_that_are_not_known_yet_comes_before_one_that_asks_for_none() -> None:
    first = allow(
        "first", EVERYTHING, when=EXPRESSIONS['request.namespace_labels["env"] == "prod"']
    )
    engine = PolicyEngine(AccessPolicySet(rules=(first, allow("second", EVERYTHING))))
    whole = replace(asked("GET", POD), namespace_labels=(("env", "prod"),))

    decision = judged(engine, unknown(whole), objects=None, reasons=None, namespaces=Truth(whole))

    assert decision.rule == "first"

"""Policies as they are written, and what is decided by them."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from kzproxy.attributes.api_object import ApiObject
from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.identity import SPIFFE_ID_EXTRA
from kzproxy.config.access_policy import load_access_policies
from kzproxy.config.document import Mistakes
from kzproxy.policy.decision import (
    Cause,
    Challenge,
    Decision,
    Deny,
    Dependency,
    NotPermitted,
    Permit,
)
from kzproxy.policy.engine import PolicyEngine
from tests.policy.samples import ENROLLED, WEDNESDAY_MORNING, asked, subject

POD = "/api/v1/namespaces/prod/pods/web"
PODS = "/api/v1/namespaces/prod/pods"
EXEC = f"{POD}/exec?command=ls&command=-l&container=app"

OFFICE = {"office": ["203.0.113.0/24"]}


def everything(rule_id: str = "r", effect: str = "allow", **fields: Any) -> dict[str, Any]:
    """A rule for everything that ann asks."""
    rule: dict[str, Any] = {
        "id": rule_id,
        "effect": effect,
        "subjects": {"users": ["ann"]},
        "match": [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}],
    }
    return rule | fields


@pytest.fixture
def engine(tmp_path: Path):
    def load(*rules: dict[str, Any], **sections: Any) -> PolicyEngine:
        document = {
            "apiVersion": "kzproxy.dev/v1",
            "kind": "AccessPolicy",
            "metadata": {"name": "test"},
            "rules": list(rules),
        }
        file = tmp_path / "policy.yaml"
        file.write_text(yaml.safe_dump(document | sections, sort_keys=False))
        mistakes = Mistakes()
        policies = load_access_policies([file], mistakes)
        mistakes.raise_if_any()
        return PolicyEngine(policies)

    return load


def signed_in(minutes_ago: float | None = None, acr: str = "", **fields: Any) -> Any:
    at = None if minutes_ago is None else WEDNESDAY_MORNING - timedelta(minutes=minutes_ago)
    return replace(subject(), authenticated_at=at, authentication_class=acr, **fields)


def rule_of(decision: Decision) -> tuple[bool, str]:
    return isinstance(decision, Permit), decision.rule


def test_the_first_rule_whose_obligations_are_met_permits(engine) -> None:
    judge = engine(
        everything("strong", obligations={"mfa": {"classes": ["phr"]}}),
        everything("fresh", obligations={"reauth": {"maxAge": "10m"}, "maxSession": "1h"}),
        everything("reads", obligations={"readOnly": True}),
    ).decide
    fresh = judge(asked("DELETE", POD, who=signed_in(5)))
    strong = judge(asked("DELETE", POD, who=signed_in(50, "phr")))

    assert rule_of(fresh) == (True, "fresh")
    assert isinstance(fresh, Permit)
    assert fresh.obligations.max_session == timedelta(hours=1)
    assert fresh.valid_until == WEDNESDAY_MORNING + timedelta(minutes=5)
    assert rule_of(strong) == (True, "strong")
    assert rule_of(judge(asked("GET", POD))) == (True, "reads")


def test_where_none_are_met_the_first_is_told(engine) -> None:
    decision = engine(
        everything("fresh", obligations={"reauth": {"maxAge": "10m"}, "reason": "required"}),
        everything("bound", obligations={"bound": True}),
    ).decide(asked("DELETE", POD, who=signed_in(30)))

    assert isinstance(decision, Deny)
    assert (decision.cause, decision.rule) == (Cause.OBLIGATION, "fresh")
    assert decision.unmet == ("reauth", "reason")
    assert "kzproxy login" in decision.hint
    assert "kzproxy reason" in decision.hint


def test_a_sign_in_of_which_nobody_knows_passes_nothing(engine) -> None:
    judge = engine(everything(conditions={"authentication": {"maxAge": "8h"}})).decide

    assert isinstance(judge(asked("GET", POD, who=signed_in(None))), Challenge)
    assert isinstance(judge(asked("GET", POD, who=signed_in(8 * 60))), Challenge)
    assert isinstance(judge(asked("GET", POD, who=signed_in(8 * 60 - 1))), Permit)


def test_a_deny_by_none_of_spares_only_who_is_shown_to_be_fresh(engine) -> None:
    judge = engine(
        everything(),
        everything("stale", "deny", conditions={"none": ["fresh"]}),
        conditions={"fresh": {"authentication": {"maxAge": "1h"}}},
    ).decide
    permit = judge(asked("GET", POD, who=signed_in(10)))

    assert rule_of(permit) == (True, "r")
    assert isinstance(permit, Permit)
    assert permit.valid_until == WEDNESDAY_MORNING + timedelta(minutes=50)
    assert Dependency.AUTHENTICATION in permit.depends_on
    assert rule_of(judge(asked("GET", POD, who=signed_in(61)))) == (False, "stale")
    assert rule_of(judge(asked("GET", POD, who=signed_in(None)))) == (False, "stale")


def test_a_device_is_of_the_highest_tier_whose_conditions_hold(engine) -> None:
    tiers = [
        {"level": 1, "name": "known", "conditions": {"device": {"enrolled": True}}},
        {
            "level": 2,
            "name": "on-site",
            "conditions": {"device": {"enrolled": True}, "all": ["on-site"]},
        },
    ]
    judge = engine(
        everything("all", conditions={"device": {"tier": 2}}),
        everything("low", "deny", conditions={"device": {"belowTier": 1}}),
        networks=OFFICE,
        conditions={"on-site": {"networks": ["office"]}},
        tiers=tiers,
    ).decide

    assert rule_of(judge(asked("GET", POD, device=ENROLLED, come_from="203.0.113.9"))) == (
        True,
        "all",
    )
    away = judge(asked("GET", POD, device=ENROLLED))
    assert rule_of(away) == (False, "all")
    assert "yours is of tier 1" in away.hint  # type: ignore[union-attr]
    assert rule_of(judge(asked("GET", POD))) == (False, "low")


def test_a_tier_of_which_nobody_can_tell_is_not_reached_and_spoils_no_other(engine) -> None:
    tiers = [
        {"level": 1, "name": "known", "conditions": {"device": {"enrolled": True}}},
        {"level": 2, "name": "fresh", "when": 'device.postureAge <= duration("1h")'},
    ]
    rules = [everything("all", conditions={"device": {"tier": 1}})]
    judge = engine(*rules, tiers=tiers).decide

    assert rule_of(judge(asked("GET", POD, device=ENROLLED))) == (True, "all")
    assert rule_of(judge(asked("GET", POD)))[0] is False
    rules.append(everything("low", "deny", conditions={"device": {"belowTier": 2}}))
    judge = engine(*rules, tiers=tiers).decide
    assert rule_of(judge(asked("GET", POD, device=ENROLLED))) == (False, "low")


def test_a_condition_of_which_nobody_can_tell_spoils_no_expression_but_its_own(engine) -> None:
    conditions = {
        "on-site": {"networks": ["office"]},
        "low-risk": {"when": 'session.risk != "HIGH"'},
    }

    def judged(when: str) -> tuple[bool, str]:
        policy = engine(everything("r", when=when), networks=OFFICE, conditions=conditions)
        return rule_of(policy.decide(asked("GET", POD, come_from="203.0.113.9")))

    assert judged('conditions["on-site"]') == (True, "r")
    assert judged('conditions["low-risk"]')[0] is False
    assert judged('!conditions["low-risk"]')[0] is False


def test_labels_of_a_namespace_that_are_not_known_let_nobody_in_and_nobody_off(engine) -> None:
    selected = [
        {
            "verbs": ["*"],
            "apiGroups": ["*"],
            "resources": ["*"],
            "namespaceSelector": {"matchLabels": {"env": "dev"}},
        }
    ]
    allows = engine(everything(match=selected))
    denies = engine(everything(), everything("no", "deny", match=selected))

    def on(labels: tuple[tuple[str, str], ...] | None) -> Attributes:
        return replace(asked("GET", POD), namespace_labels=labels)

    dev, prod = (("env", "dev"),), (("env", "prod"),)
    assert [rule_of(allows.decide(on(x)))[0] for x in (dev, prod, None)] == [True, False, False]
    assert [rule_of(denies.decide(on(x)))[0] for x in (dev, prod, None)] == [False, True, False]
    assert allows.needs_namespace_labels
    assert rule_of(denies.decide(asked("GET", "/api/v1/pods"))) == (False, "no")
    assert Dependency.NAMESPACE in denies.decide(on(prod)).depends_on


def test_to_leave_out_subresources_leaves_out_no_more(engine) -> None:
    but = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*", "!pods/*"]}]
    allows = engine(everything(match=but)).decide
    denies = engine(everything(), everything("no", "deny", match=but)).decide

    assert rule_of(allows(asked("GET", POD)))[0]
    assert not rule_of(allows(asked("GET", f"{POD}/log")))[0]
    assert not rule_of(denies(asked("GET", POD)))[0]
    assert rule_of(denies(asked("GET", f"{POD}/log")))[0]


def test_what_is_left_out_is_left_out_whole_of_what_is_allowed(engine) -> None:
    but = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*", "!secrets", "!pods"]}]
    allows = engine(everything(match=but)).decide
    denies = engine(everything(), everything("no", "deny", match=but)).decide
    base = "/api/v1/namespaces/prod"

    assert [rule_of(allows(asked("GET", f"{base}/{x}")))[0] for x in ("secrets", "services")] == [
        False,
        True,
    ]
    assert rule_of(allows(asked("GET", EXEC)))[0] is False
    assert rule_of(denies(asked("GET", POD)))[0] is True
    assert rule_of(denies(asked("GET", EXEC))) == (False, "no")


@pytest.mark.parametrize(
    ("query", "permitted"),
    [
        ("labelSelector=team%3Da", True),
        ("labelSelector=x,team%3D%3Da", True),
        ("labelSelector=team+in+(a)", False),
        ("labelSelector=x+in+(y,team%3Da)", False),
        ("labelSelector=team%3Db", False),
        ("labelSelector=team!%3Da", False),
        ("", False),
    ],
)
def test_a_list_must_select_what_the_rule_selects(engine, query: str, permitted: bool) -> None:
    listed = {
        "verbs": ["list", "watch"],
        "apiGroups": [""],
        "resources": ["pods"],
        "labelSelector": "team=a",
    }
    judge = engine(everything(match=[listed])).decide

    assert rule_of(judge(asked("GET", f"{PODS}?{query}")))[0] is permitted


def test_the_object_is_asked_for_only_where_all_hangs_on_it(engine) -> None:
    guard = everything(
        "guard",
        "deny",
        match=[{"verbs": ["connect"], "apiGroups": [""], "resources": ["pods/exec"]}],
        conditions={"networks": ["office"], "object": {"privileged": True}},
        needs=["object"],
    )
    judge = engine(everything(), guard, networks=OFFICE)
    at_work = asked("GET", EXEC, come_from="203.0.113.9")

    assert judge.needs_object(at_work)
    assert not judge.needs_object(asked("GET", EXEC))
    assert not judge.needs_object(asked("GET", POD, come_from="203.0.113.9"))
    unknown = judge.decide(at_work)
    assert isinstance(unknown, Deny)
    assert unknown.cause is Cause.RULE_ERROR
    for privileged in (True, False):
        known = replace(at_work, api_object=ApiObject(privileged=privileged))
        assert isinstance(judge.decide(known), Deny) is privileged


@pytest.mark.parametrize("patches", [False, True])
def test_a_patch_is_judged_without_its_object_where_the_rule_says_so(engine, patches: bool) -> None:
    fields: dict[str, Any] = {"needs": ["object"]} | ({"patches": "allow"} if patches else {})
    wanted = {"object": {"privileged": False}}
    allows = engine(everything(conditions=wanted, **fields)).decide
    unwanted = {"object": {"privileged": True}}
    denies = engine(everything(), everything("no", "deny", conditions=unwanted, **fields)).decide
    patch = replace(asked("PATCH", POD), api_object=ApiObject(is_patch=True))

    assert isinstance(allows(patch), Permit) is patches
    assert isinstance(denies(patch), Permit) is patches


def test_an_expression_holds_fails_or_cannot_be_told(engine) -> None:
    judge = engine(
        everything(when='request.command == ["ls", "-l"] && source.ip != "192.0.2.9"'),
        everything("weak", "deny", when='authentication.acr == "pwd"'),
    ).decide

    assert rule_of(judge(asked("GET", EXEC, who=signed_in(1, "phr")))) == (True, "r")
    assert rule_of(judge(asked("GET", EXEC, who=signed_in(1, "pwd")))) == (False, "weak")
    unknown = judge(asked("GET", EXEC, who=signed_in(None)))
    assert isinstance(unknown, Deny)
    assert (unknown.cause, unknown.rule) == (Cause.RULE_ERROR, "weak")


def test_an_expression_with_the_time_in_it_is_judged_again_soon(engine) -> None:
    permit = engine(everything(when='time.now < timestamp("2030-01-01T00:00:00Z")')).decide(
        asked("GET", POD)
    )

    assert isinstance(permit, Permit)
    assert permit.valid_until == WEDNESDAY_MORNING + timedelta(seconds=10)


def test_workloads_are_known_by_the_id_that_their_issuer_maps(engine) -> None:
    rule = everything(subjects={"spiffeIDs": ["spiffe://example.org/ns/ci/*"]})
    judge = engine(rule, everything("sa", subjects={"serviceAccounts": ["ci/bot"]})).decide

    def workload(spiffe_id: str) -> Any:
        return replace(subject("w"), extra=((SPIFFE_ID_EXTRA, (spiffe_id,)),))

    inside, outside = "spiffe://example.org/ns/ci/sa/x", "spiffe://example.com/ns/ci/sa/x"
    assert rule_of(judge(asked("GET", POD, who=workload(inside)))) == (True, "r")
    assert rule_of(judge(asked("GET", POD, who=workload(outside)))) == (False, "")
    account = subject("system:serviceaccount:ci:bot")
    assert rule_of(judge(asked("GET", POD, who=account))) == (True, "sa")


def test_a_calendar_is_closed_on_its_exceptions_and_open_on_its_dates(engine) -> None:
    calendar = {
        "timeZone": "Europe/Prague",
        "weekly": [{"days": ["Mon", "Wed"], "from": "08:00", "to": "18:00"}],
        "dated": [{"from": "2026-01-17", "to": "2026-01-18"}],
        "except": [{"from": "2026-01-14T11:30", "to": "2026-02-10"}],
    }
    judge = engine(everything(conditions={"time": ["c"]}), calendars={"c": calendar}).decide

    def at(*moment: int) -> Decision:
        return judge(asked("GET", POD, at=datetime(*moment, tzinfo=UTC)))  # type: ignore[misc]

    morning = at(2026, 1, 14, 10, 0)
    assert isinstance(morning, Permit)
    assert morning.valid_until == datetime(2026, 1, 14, 10, 30, tzinfo=UTC)
    assert isinstance(at(2026, 1, 14, 10, 30), Deny)
    assert isinstance(at(2026, 1, 17, 10, 0), Deny)
    assert isinstance(at(2026, 2, 11, 10, 0), Permit)
    closed = at(2026, 1, 20, 10, 0)
    assert "opens Wed 2026-02-11 08:00 Europe/Prague" in closed.hint  # type: ignore[union-attr]


FACTS = st.fixed_dictionaries(
    {
        "minutes": st.none() | st.integers(0, 200),
        "acr": st.sampled_from(["", "pwd", "phr"]),
        "enrolled": st.booleans(),
        "at_work": st.booleans(),
        "method": st.sampled_from(["GET", "DELETE"]),
    }
)
RULES: list[dict[str, Any]] = [
    everything("a", conditions={"networks": ["office"]}),
    everything("b", conditions={"device": {"enrolled": True}}),
    everything("c", conditions={"authentication": {"maxAge": "1h"}}),
    everything("d", obligations={"mfa": {"classes": ["phr"], "maxAge": "2h"}}),
    everything("e", conditions={"all": ["safe"]}, obligations={"readOnly": True}),
    everything("f", when='device.enrolled && authentication.acr == "phr"'),
]
DENIES: list[dict[str, Any]] = [
    everything("x", "deny", conditions={"none": ["safe"]}),
    everything("y", "deny", conditions={"device": {"enrolled": False}}),
    everything("z", "deny", when='authentication.acr == "pwd"'),
]
SAFE = {"safe": {"authentication": {"maxAge": "90m"}, "networks": ["office"]}}


def on(facts: dict[str, Any], **changed: Any) -> Attributes:
    facts = facts | changed
    return asked(
        facts["method"],
        POD,
        who=signed_in(facts["minutes"], facts["acr"]),
        come_from="203.0.113.9" if facts["at_work"] else "192.0.2.7",
        **({"device": ENROLLED} if facts["enrolled"] else {}),
    )


@pytest.fixture(scope="module")
def engines(tmp_path_factory: pytest.TempPathFactory):
    """Engines of every rule alone and of some together, made once."""
    made: dict[tuple[str, ...], PolicyEngine] = {}

    def of(rules: list[dict[str, Any]]) -> PolicyEngine:
        key = tuple(rule["id"] for rule in rules)
        if key not in made:
            document = {
                "apiVersion": "kzproxy.dev/v1",
                "kind": "AccessPolicy",
                "metadata": {"name": "test"},
                "networks": OFFICE,
                "conditions": SAFE,
                "rules": rules,
            }
            file = tmp_path_factory.mktemp("policy") / "policy.yaml"
            file.write_text(yaml.safe_dump(document))
            mistakes = Mistakes()
            policies = load_access_policies([file], mistakes)
            mistakes.raise_if_any()
            made[key] = PolicyEngine(policies)
        return made[key]

    return of


@given(
    FACTS,
    st.lists(st.sampled_from(RULES), unique_by=lambda r: r["id"], max_size=3),
    st.sampled_from(DENIES),
)
def test_adding_a_deny_never_adds_access(engines, facts, rules, denied) -> None:
    without = engines(rules).decide(on(facts))
    with_it = engines([*rules, denied]).decide(on(facts))

    assert isinstance(without, Permit) or isinstance(with_it, NotPermitted)


@given(FACTS, st.lists(st.sampled_from([*RULES, *DENIES]), unique_by=lambda r: r["id"], max_size=4))
def test_removing_a_passed_check_never_adds_access(engines, facts, rules) -> None:
    engine = engines(rules)
    before = engine.decide(on(facts))
    for worse in ({"enrolled": False}, {"minutes": None}, {"at_work": False}):
        after = engine.decide(on(facts, **worse))
        assert isinstance(before, Permit) or isinstance(after, NotPermitted), worse


@given(FACTS, st.lists(st.sampled_from([*RULES, *DENIES]), unique_by=lambda r: r["id"], max_size=4))
def test_a_permit_holds_until_it_says_and_no_fact_of_another_kind_ends_it(
    engines, facts, rules
) -> None:
    engine = engines(rules)
    permit = engine.decide(on(facts))
    if not isinstance(permit, Permit):
        return
    until = permit.valid_until or WEDNESDAY_MORNING + timedelta(days=30)
    last = until - timedelta(seconds=1)
    environment = replace(permit.attributes.environment, received_at=last)
    later = engine.decide(replace(permit.attributes, environment=environment))
    assert isinstance(later, Permit)
    if Dependency.NETWORK not in permit.depends_on:
        assert isinstance(engine.decide(on(facts, at_work=not facts["at_work"])), Permit)
    if Dependency.DEVICE not in permit.depends_on:
        assert isinstance(engine.decide(on(facts, enrolled=not facts["enrolled"])), Permit)

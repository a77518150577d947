"""What an explanation says of random policies and requests is so, taken literally."""

import re
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from itertools import combinations
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kzproxy.attributes.api_object import ApiObject
from kzproxy.attributes.device import NO_DEVICE, DevicePosture, Fact
from kzproxy.attributes.identity import SPIFFE_ID_EXTRA
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.errors.configuration import ConfigurationError
from kzproxy.policy.decision import Deny, Permit
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy_tools.change_candidates import ChangeKind
from kzproxy.policy_tools.explain import explain_decision
from kzproxy.policy_tools.told_device import ToldDevice, posture_of
from tests.policy_tools.asking import AT, PATHS
from tests.policy_tools.policies import loaded, text_of, written
from tests.policy_tools.rich_world import BUILDER, DEFINITIONS, NETWORKS, policies, questions

ENROLLED = DevicePosture(enrolled=Fact.PASSED, device_id="d")
REQUESTS = [
    RequestInfo.parse(method, path) for path in PATHS for method in ("GET", "POST", "DELETE")
]
ELSEWHERE = ip_address("203.0.113.7")
OFFICE, LAB = ip_address("192.0.2.7"), ip_address("192.0.2.200")
SLOW = settings(
    max_examples=40, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow]
)


def read(rules):
    """Return a policy and its text; an example that the loader refuses is none."""
    with TemporaryDirectory() as directory:
        path = written(Path(directory), rules, DEFINITIONS)
        try:
            return loaded(path), text_of(path)
        except ConfigurationError:
            assume(condition=False)


def reading_of(rule, explanation):
    return next(reading for reading in explanation.rules if reading.rule == rule)


@SLOW
@given(rules=policies(), attributes=questions(), data=st.data())
def test_the_first_condition_that_fails_once_satisfied_changes_the_answer(rules, attributes, data):
    policy, text = read(rules)
    explanation = explain_decision(policy, text, attributes)
    for reading, rule in zip(explanation.rules, text.rules, strict=True):
        failed = reading.first_failed
        if failed is None:
            continue
        amended = satisfied(failed, rule, attributes, data)
        if amended is None:
            continue
        after = explain_decision(policy, text, amended)
        again = reading_of(reading.rule, after)
        assert next(part for part in again.parts if part.name == failed.name).holds
        others = [part for part in reading.parts if part is not failed]
        if all(part.holds for part in others) and all(part.holds for part in again.parts):
            check_answer(again, after)


def check_answer(reading, after):
    """Check that the rule, all of whose parts hold now, has its effect."""
    assert reading.matched
    denies = [r for r in after.rules if r.effect == "deny" and (r.matched or r.error)]
    if reading.effect == "deny":
        assert isinstance(after.decision, Deny)
    elif not reading.unmet and not denies:
        assert isinstance(after.decision, Permit)


@SLOW
@given(rules=policies(), attributes=questions())
def test_an_obligation_that_is_not_met_once_met_is_and_all_of_them_permit(rules, attributes):
    policy, text = read(rules)
    explanation = explain_decision(policy, text, attributes)
    for reading in explanation.rules:
        if not reading.matched or not reading.unmet:
            continue
        amended = attributes
        # A read is what a dry run would be too, and not the other way round.
        for name in sorted(reading.unmet, key="readOnly".__eq__):
            amended = MEET[name](amended)
        after = explain_decision(policy, text, amended)
        again = reading_of(reading.rule, after)
        assert again.unmet == ()
        if again.matched:
            check_answer(again, after)


@SLOW
@given(rules=policies(), attributes=questions())
def test_a_rule_matches_where_all_its_parts_hold(rules, attributes):
    policy, text = read(rules)
    explanation = explain_decision(policy, text, attributes)
    assert explanation.decision == PolicyEngine(policy).decide(attributes)
    for reading in explanation.rules:
        if not reading.error:
            assert reading.matched == all(part.holds for part in reading.parts)
        else:
            assert any(part.error for part in reading.parts)


@SLOW
@given(rules=policies(), attributes=questions(), data=st.data())
def test_what_would_change_the_answer_does_when_it_is_done_literally(rules, attributes, data):
    policy, text = read(rules)
    explanation = explain_decision(policy, text, attributes)
    assert not isinstance(explanation.decision, Permit) or explanation.changes == ()
    for change in explanation.changes:
        decision = PolicyEngine(policy).decide(heeded(change, attributes, data))
        assert isinstance(decision, Permit), change.text


@SLOW
@given(rules=policies(), attributes=questions())
def test_the_rules_that_must_change_are_those_and_all_of_them(rules, attributes):
    policy, text = read(rules)
    standing = explain_decision(policy, text, attributes).standing
    if standing is None:
        return

    def permits_without(denies):
        kept = tuple(rule for rule in policy.rules if rule.id not in denies)
        decision = PolicyEngine(replace(policy, rules=kept)).decide(attributes)
        return isinstance(decision, Permit)

    assert permits_without(standing.denies) is not standing.needs_allow
    for fewer in combinations(standing.denies, max(len(standing.denies) - 1, 0)):
        if standing.denies:
            assert not permits_without(fewer)


# How each part of a rule is made to hold, by the words of the policy.


def satisfied(part, rule, attributes, data):
    if part.name == "subjects":
        groups = tuple(name for _, name in rule.subjects)
        return replace(attributes, subject=replace(attributes.subject, groups=groups))
    if part.name == "match":
        named = [request for request in REQUESTS if reaches(rule, request)]
        if not named:
            return None
        request = data.draw(st.sampled_from(named))
        return replace(attributes, request=request, namespace_labels=(("env", "prod"),))
    if part.name == "when":
        return with_expression(rule.when, attributes)
    return SATISFY[part.name](part.wanted, attributes)


def reaches(rule, request):
    """Whether an entry names exactly this request, in the plainest sense."""
    return request.is_resource and any(
        {request.verb, "*"} & set(entry.verbs)
        and {request.api_group, "*"} & set(entry.api_groups)
        and {request.qualified_resource, "*"} & set(entry.resources)
        and request.qualified_resource != "nodes/proxy"
        and not [word for word in entry.resources if word.startswith("!")]
        and (not entry.namespaces or request.namespace in entry.namespaces)
        and (not entry.names or request.name in entry.names)
        and (not entry.selectors or request.namespace)
        for entry in rule.matches
    )


def with_expression(text, attributes):
    """Set the facts with which one of the world's expressions holds."""
    attributes = signed_in({"classes": ["phr"], "methods": ["hwk"]}, attributes)
    subject = replace(attributes.subject, extra=(("k", ("x",)),))
    environment = replace(attributes.environment, user_agent="kubectl/v1", reason="INC-1")
    environment = replace(environment, source_address=LAB, country="DE", asn=64500)
    return replace(attributes, subject=subject, environment=environment)


def from_network(wanted, attributes):
    address = ip_network(NETWORKS[wanted[0]])[-2]
    return with_environment(attributes, source_address=address)


def with_environment(attributes, **facts):
    return replace(attributes, environment=replace(attributes.environment, **facts))


HEALTHY = {
    "managed": True,
    "state": "approved",
    "passed": ("disk_encrypted", "firewall", "patched"),
    "posture_age": timedelta(),
    "os": "ubuntu",
    "os_version": "24.04",
    "risk": "LOW",
}


def on_device(wanted, attributes):
    if wanted == {"enrolled": False} or "belowTier" in wanted:
        return replace(attributes, device=NO_DEVICE)
    if "tier" in wanted:
        attributes = signed_in({"methods": ["hwk"]}, attributes)
    told = ToldDevice(enrolled=True, owner=attributes.subject.username, **HEALTHY)
    return replace(attributes, device=posture_of(told, attributes.environment.received_at))


def as_told(text, attributes):
    """Return the device with what is said of it, and with nothing else that was not so."""
    at, device = attributes.environment.received_at, attributes.device
    if device.enrolled is not Fact.PASSED:
        device = ENROLLED
    told = ToldDevice(enrolled=True, owner=attributes.subject.username, **HEALTHY)
    good = posture_of(told, at)
    if "passes" in text:
        names = re.findall(r"passes ((?:\w+ and )*\w+)", text)[0].split(" and ")
        kept = {**dict(device.checks), **{n: c for n, c in good.checks if n in names}}
        device = replace(device, checks=tuple(sorted(kept.items())), observed_at=at)
    for words, fields in {
        "is managed": ["managed"],
        "is approved": ["state"],
        "is your own": ["owner"],
        "has just reported": ["observed_at"],
        "runs ubuntu 24.04": ["os", "os_version"],
    }.items():
        if words in text:
            device = replace(device, **{name: getattr(good, name) for name in fields})
    if "is of risk" in text:
        device = replace(device, risk=words_after("is of risk", text)[0])
    return replace(attributes, device=device)


def signed_in(wanted, attributes):
    at, subject = attributes.environment.received_at, attributes.subject
    return at_home(
        replace(
            attributes,
            subject=replace(
                subject,
                authenticated_at=at,
                issued_at=at,
                session_began_at=at if subject.is_session else None,
                authentication_class=wanted.get("classes", [subject.authentication_class])[0],
                authentication_methods=tuple(wanted.get("methods", subject.authentication_methods)),
                issuer=wanted.get("issuers", [subject.issuer])[0],
            ),
        )
    )


def in_session(_, attributes):
    at = attributes.environment.received_at
    subject = replace(attributes.subject, method="session", session_began_at=at)
    return at_home(replace(attributes, subject=subject))


def at_home(attributes):
    """Have a session be where it was signed in."""
    if not attributes.subject.is_session:
        return attributes
    here = str(attributes.environment.source_address)
    subject = replace(attributes.subject, signed_in_from=here, seen_from="")
    return with_environment(
        replace(attributes, subject=subject), sign_in_country=attributes.environment.country
    )


def as_workload(_, attributes):
    subject = replace(attributes.subject, extra=((SPIFFE_ID_EXTRA, (BUILDER,)),))
    return replace(attributes, subject=subject)


def like_request(wanted, attributes):
    if "dryRun" in wanted:
        return dry_run(attributes)
    return with_environment(attributes, user_agent="kubectl/v1")


def dry_run(attributes):
    request = RequestInfo.parse("POST", "/api/v1/namespaces/dev/pods?dryRun=All")
    return replace(attributes, request=request)


def with_named(names, attributes):
    for name in names:
        attributes = NAMED[name](attributes)
    return attributes


def without_named(names, attributes):
    if "on-site" in names:
        attributes = with_environment(attributes, source_address=ELSEWHERE)
    if "fresh" in names:
        long_ago = attributes.environment.received_at - timedelta(days=1)
        subject = replace(attributes.subject, authenticated_at=long_ago)
        attributes = replace(attributes, subject=subject)
    return attributes


NAMED = {
    "on-site": lambda a: with_environment(a, source_address=OFFICE),
    "trusted": lambda a: replace(a, device=ENROLLED),
    "fresh": lambda a: signed_in({"methods": ["hwk"]}, a),
}
SATISFY = {
    "networks": from_network,
    "countries": lambda wanted, a: with_environment(a, country=wanted[0]),
    "asns": lambda wanted, a: with_environment(a, asn=wanted[0]),
    "time": lambda _, a: with_environment(a, received_at=AT),
    "device": on_device,
    "authentication": signed_in,
    "session": lambda wanted, a: (
        in_session(wanted, a) if "maxAge" not in wanted else signed_in({}, a)
    ),
    "workload": as_workload,
    "request": like_request,
    "object": lambda w, a: replace(a, api_object=ApiObject(privileged=w["privileged"])),
    "all": with_named,
    "any": lambda names, a: NAMED[names[0]](a),
    "none": without_named,
}
MEET = {
    "mfa": lambda a: signed_in({"classes": ["phr"]}, a),
    "reauth": lambda a: signed_in({}, a),
    "reason": lambda a: with_environment(a, reason="INC-2"),
    "readOnly": lambda a: replace(
        a, request=RequestInfo.parse("GET", "/api/v1/namespaces/dev/pods/web")
    ),
    "dryRunOnly": dry_run,
    "bound": lambda a: replace(a, subject=replace(a.subject, confirmation="00" * 32)),
}


# How advice is followed: by its words, and where they leave a choice, by any.


def words_after(words, text):
    return re.findall(rf"{words} (\S+?)(?:,| |$)", text)


def on_what_is_told(change, attributes):
    if ChangeKind.SESSION in change.kinds:
        attributes = in_session({}, attributes)
    return as_told(change.text, attributes) if ChangeKind.DEVICE in change.kinds else attributes


def heeded(change, attributes, data):
    text = change.text
    for (moment,) in [words_after("wait until", text)] if "wait until" in text else []:
        attributes = with_environment(attributes, received_at=datetime.fromisoformat(moment))
    if ChangeKind.SIGN_IN in change.kinds:
        asked = {
            "classes": words_after("class", text),
            "methods": words_after("method", text),
            "issuers": words_after("issuer", text),
        }
        attributes = signed_in({name: w for name, w in asked.items() if w}, attributes)
    if ChangeKind.REASON in change.kinds:
        attributes = with_environment(attributes, reason="a reason")
    attributes = moved(text, attributes)
    attributes = on_what_is_told(change, attributes)
    if ChangeKind.NETWORK in change.kinds:
        attributes = with_environment(attributes, source_address=some_address(text, data))
    if ChangeKind.REQUEST in change.kinds:
        sign = "&" if "?" in attributes.request.target else "?"
        target = f"{attributes.request.target}{sign}dryRun=All"
        request = RequestInfo.parse(attributes.request.method, target)
        attributes = replace(attributes, request=request)
    if ChangeKind.GRANT in change.kinds:
        (group,) = words_after("be made a member of", text)
        groups = (*attributes.subject.groups, group)
        attributes = replace(attributes, subject=replace(attributes.subject, groups=groups))
    return attributes


def moved(text, attributes):
    for country in words_after("come from country", text):
        attributes = with_environment(attributes, country=country)
    for number in words_after("come from autonomous system", text):
        attributes = with_environment(attributes, asn=int(number))
    return attributes


def some_address(text, data):
    given = words_after("such as from", text)
    if given:
        return ip_address(given[0])
    (name,) = words_after("come from network", text)
    network = ip_network(NETWORKS[name])
    return network[data.draw(st.integers(0, network.num_addresses - 1))]

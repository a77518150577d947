"""What holds for every policy and every request."""

import dataclasses
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from kzproxy.attributes.device import NO_DEVICE
from kzproxy.policy.decision import Deny, Permit
from kzproxy.policy.rules import Conditions, Effect, Match, Rule
from tests.policy.plain_reading import is_permitted
from tests.policy.samples import (
    ENROLLED,
    OFFICE,
    OFFICE_HOURS,
    WEDNESDAY_MORNING,
    asked,
    decide,
    deny,
    match,
    subject,
    window,
)

# Small worlds, so that rules and requests meet often.
USERS = ["ann", "bob"]
GROUPS = ["dev", "ops"]
NAMESPACES = ["dev", "prod"]
RESOURCES = ["pods", "secrets", "nodes", "namespaces", "widgets"]
SUBRESOURCES = ["log", "exec", "proxy", "status"]
NIGHT = window("night", "America/New_York", "Tue Wed Thu", "22:00", "05:30")


def few(values, **bounds):
    return st.lists(st.sampled_from(values), unique=True, max_size=3, **bounds)


verbs = few(["*", "get", "list", "watch", "create", "delete", "connect", "proxy"], min_size=1)
resource_patterns = few(
    ["*", "*/*", "*/proxy", "*/exec", "nodes/*", "pods/*", "nodes/proxy", "pods/log", *RESOURCES],
    min_size=1,
)
resource_matches = st.builds(
    Match,
    verbs=verbs.map(frozenset),
    api_groups=few(["", "*", "apps"], min_size=1).map(frozenset),
    resources=resource_patterns.map(frozenset),
    namespaces=few(["dev", "prod", "p*", "*"]).map(tuple),
    names=few(["a", "b", "a*", "dev"]).map(tuple),
)
url_matches = st.builds(
    Match,
    verbs=few(["*", "get", "post"], min_size=1).map(frozenset),
    non_resource_urls=few(["*", "/version", "/api*", "/apis/*"], min_size=1).map(frozenset),
)
conditions = st.builds(
    Conditions,
    networks=few([OFFICE]).map(tuple),
    time=few([OFFICE_HOURS, NIGHT]).map(tuple),
    device_enrolled=st.sampled_from([None, None, True, False]),
)


@st.composite
def subjects_of_rules(draw):
    users, groups = draw(few(USERS)), draw(few([*GROUPS, "system:authenticated"]))
    return {"users": frozenset(users), "groups": frozenset(groups or GROUPS[:1])}


@st.composite
def rules(draw, effects=tuple(Effect)):
    return Rule(
        id=f"rule-{draw(st.integers(0, 10**9))}",
        effect=draw(st.sampled_from(effects)),
        match=tuple(draw(st.lists(resource_matches | url_matches, min_size=1, max_size=2))),
        conditions=draw(conditions | st.just(Conditions())),
        **draw(subjects_of_rules()),
    )


@st.composite
def broad_rules(draw):
    """Allow much, so that what the other rules take away can be seen."""
    everything = (
        match("*", "*", namespaces=draw(st.sampled_from(["", "*"]))),
        match("*", urls="*"),
    )
    return Rule(
        id=f"broad-{draw(st.integers(0, 10**9))}",
        effect=Effect.ALLOW,
        groups=frozenset({"system:authenticated"}),
        match=everything,
        conditions=draw(conditions | st.just(Conditions())),
    )


policies = st.lists(rules() | rules() | rules() | broad_rules(), max_size=5)


@st.composite
def targets(draw):
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from(["/version", "/api", "/apis/apps/v1", "/metrics"]))
    root = draw(st.sampled_from(["/api/v1", "/apis/apps/v1"]))
    namespace = draw(st.sampled_from(["", *(f"/namespaces/{n}" for n in NAMESPACES)]))
    path = f"{root}{namespace}/{draw(st.sampled_from(RESOURCES))}"
    if draw(st.booleans()):
        path += f"/{draw(st.sampled_from(['a', 'b', 'ab']))}"
        path += draw(st.sampled_from(["", "", *(f"/{s}" for s in SUBRESOURCES)]))
        return path
    return path + draw(st.sampled_from(["", "?watch=1", "?fieldSelector=metadata.name%3Da"]))


TARGETS = targets()


@st.composite
def requests(draw, paths=TARGETS):
    return asked(
        draw(st.sampled_from(["GET", "POST", "DELETE"])),
        draw(paths),
        who=subject(draw(st.sampled_from(USERS)), " ".join(draw(few(GROUPS)))),
        device=draw(st.sampled_from([ENROLLED, NO_DEVICE])),
        come_from=draw(st.sampled_from(["192.0.2.7", "203.0.113.9", "2001:db8::1"])),
        at=WEDNESDAY_MORNING + timedelta(minutes=draw(st.integers(0, 7 * 24 * 60))),
    )


@settings(max_examples=300)
@given(policy=policies, request=requests())
def test_the_engine_agrees_with_a_plain_reading(policy, request):
    assert isinstance(decide(policy, request), Permit) is is_permitted(policy, request)


@given(policy=st.lists(rules(effects=(Effect.DENY,)), max_size=6), request=requests())
def test_without_an_allow_rule_nothing_is_permitted(policy, request):
    assert isinstance(decide(policy, request), Deny)


@given(policy=policies, request=requests(), added=rules(effects=(Effect.DENY,)), data=st.data())
def test_one_more_deny_rule_never_permits(policy, request, added, data):
    place = data.draw(st.integers(0, len(policy)))
    before = decide(policy, request)

    after = decide([*policy[:place], added, *policy[place:]], request)

    assert isinstance(before, Permit) or isinstance(after, Deny)


@given(policy=policies, request=requests(), data=st.data())
def test_one_allow_rule_less_never_permits(policy, request, data):
    kept = [r for r in policy if r.effect is Effect.DENY or data.draw(st.booleans())]
    before = decide(policy, request)

    after = decide(kept, request)

    assert isinstance(before, Permit) or isinstance(after, Deny)


@given(policy=policies, request=requests(), data=st.data())
def test_the_order_of_rules_changes_no_effect(policy, request, data):
    shuffled = data.draw(st.permutations(policy))

    assert type(decide(policy, request)) is type(decide(shuffled, request))


@given(
    policy=policies,
    request=requests(
        paths=st.sampled_from(
            ["/api/v1/nodes/a/proxy", "/api/v1/nodes/a:10250/proxy/run", "/apis/x/v1/nodes/a/proxy"]
        )
    ),
)
def test_no_wildcard_permits_nodes_proxy(policy, request):
    """Read without the literal ``nodes/proxy``, no policy permits it."""
    unnamed = [
        dataclasses.replace(
            rule,
            match=tuple(
                dataclasses.replace(m, resources=m.resources - {"nodes/proxy"}) for m in rule.match
            ),
        )
        for rule in policy
    ]

    assert isinstance(decide(unnamed, request), Deny)


@given(
    policy=policies,
    namespace=st.sampled_from(NAMESPACES),
    resource=st.sampled_from(["pods", "secrets", "widgets"]),
    query=st.sampled_from(["", "?watch=true", "?fieldSelector=metadata.namespace%3Ddev"]),
    method=st.sampled_from(["GET", "DELETE"]),
)
def test_asking_for_all_namespaces_never_escapes_the_denial_of_one(
    policy, namespace, resource, query, method
):
    denial = deny("d", match("*", resource, namespaces=namespace), groups="system:authenticated")

    decision = decide([*policy, denial], asked(method, f"/api/v1/{resource}{query}"))

    assert isinstance(decision, Deny)


@given(
    policy=policies,
    path=st.sampled_from(["/api/v1/secrets", "/api/v1/namespaces/dev/secrets"]),
    method=st.sampled_from(["GET", "DELETE", "POST"]),
    query=st.sampled_from(["", "?watch=1", "?labelSelector=a%3Db"]),
)
def test_asking_for_all_names_never_escapes_the_denial_of_one(policy, path, method, query):
    denial = deny("d", match("*", "secrets", names="a"), groups="system:authenticated")

    assert isinstance(decide([*policy, denial], asked(method, path + query)), Deny)


@settings(max_examples=150)
@given(policy=policies, request=requests(), share=st.floats(0, 1))
def test_time_alone_does_not_end_a_permit_before_its_end(policy, request, share):
    decision = decide(policy, request)
    if isinstance(decision, Permit):
        end = decision.valid_until or request.environment.received_at + timedelta(days=30)
        later = request.environment.received_at + share * (
            end - request.environment.received_at - timedelta(seconds=1)
        )

        assert isinstance(decide(policy, _at(request, later)), Permit)


@settings(max_examples=150)
@given(policy=policies, request=requests(), other=requests())
def test_a_permit_stands_while_nothing_it_depends_on_has_changed(policy, request, other):
    """Network, device and time are exchanged where the permit does not name them."""
    decision = decide(policy, request)
    if isinstance(decision, Permit):
        depends_on = decision.depends_on
        environment = dataclasses.replace(
            request.environment,
            **({} if "network" in depends_on else _fields(other, "source_address")),
            **({} if "time" in depends_on else _fields(other, "received_at")),
        )
        device = request.device if "device" in depends_on else other.device
        changed = dataclasses.replace(request, environment=environment, device=device)

        assert isinstance(decide(policy, changed), Permit)


@given(policy=policies, request=requests())
def test_a_hint_names_no_rule_that_means_another_subject(policy, request):
    """Neither id nor message of a rule for others reaches the user."""
    named = [
        dataclasses.replace(rule, id=f"rule-{n}-end", message=f"message-{n}-end")
        for n, rule in enumerate(policy)
    ]
    groups = {*request.subject.groups, "system:authenticated"}
    decision = decide(named, request)
    if isinstance(decision, Deny):
        for rule in named:
            if request.subject.username not in rule.users and not groups & rule.groups:
                assert rule.id not in decision.hint
                assert rule.message not in decision.hint
                assert rule.id != decision.rule


def _fields(request, name):
    return {name: getattr(request.environment, name)}


def _at(request, at):
    environment = dataclasses.replace(request.environment, received_at=at)
    return dataclasses.replace(request, environment=environment)

"""What holds for every policy and every request."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from kzproxy.policy.challenging import signed_in
from kzproxy.policy.decision import Challenge, Deny, NotPermitted, Permit
from kzproxy.policy.rules import Effect
from kzproxy.policy.step_up import StepUp
from tests.policy.plain_reading import is_denied_by_rule, is_permitted
from tests.policy.samples import asked, deny, match
from tests.policy.small_world import (
    DEFINITIONS,
    NAMESPACES,
    decide,
    engine_of,
    narrow_policies,
    policies,
    requests,
    rules,
)


@settings(max_examples=500)
@given(policy=policies, request=requests())
def test_the_engine_agrees_with_a_plain_reading(policy, request):
    expected = is_permitted(policy, request, DEFINITIONS)
    assert isinstance(decide(policy, request), Permit) is expected


@settings(max_examples=500)
@given(policy=narrow_policies(), request=requests())
def test_the_engine_agrees_on_each_thing_by_itself(policy, request):
    expected = is_permitted(policy, request, DEFINITIONS)
    assert isinstance(decide(policy, request), Permit) is expected


@settings(max_examples=300)
@given(policy=policies | narrow_policies(), request=requests())
def test_a_challenge_is_one_sign_in_away_from_a_permit(policy, request):
    """By the plain reading: a deny rule that matches now would be one too."""
    decision = decide(policy, request)
    if isinstance(decision, Challenge):
        assert not is_permitted(policy, request, DEFINITIONS)
        assert not is_denied_by_rule(policy, request, DEFINITIONS)
        after = signed_in(request, decision.step_up)
        assert is_permitted(policy, after, DEFINITIONS)
        assert replace(after, subject=request.subject) == request
        assert not request.subject.spiffe_id


@settings(max_examples=300)
@given(policy=narrow_policies(), request=requests())
def test_whoever_is_one_sign_in_away_is_challenged(policy, request):
    """Whatever the sign-in is like that policies of this world may ask for."""
    if is_permitted(policy, request, DEFINITIONS) or request.subject.spiffe_id:
        return
    if is_denied_by_rule(policy, request, DEFINITIONS) or _asks_strangely(policy):
        return
    better = [
        StepUp(acr_values=classes, methods=methods)
        for classes in ((), ("s",), ("w",))
        for methods in ((), ("hwk",), ("otp",))
    ]
    helps = any(is_permitted(policy, signed_in(request, each), DEFINITIONS) for each in better)
    assert isinstance(decide(policy, request), Challenge) is helps


def _asks_strangely(policy):
    """Whether an allow rule may be met by another sign-in in ways that are not looked for."""
    allows = [rule for rule in policy if rule.effect is Effect.ALLOW]
    named = {name for rule in allows for name in rule.conditions.all_of}
    return bool(named & {"strong", "watched"}) or any(
        rule.when or rule.conditions.none_of or rule.conditions.any_of for rule in allows
    )


@given(policy=st.lists(rules(effects=(Effect.DENY,)), max_size=6), request=requests())
def test_without_an_allow_rule_nothing_is_permitted(policy, request):
    assert isinstance(decide(policy, request), Deny)


@given(policy=policies, request=requests(), added=rules(effects=(Effect.DENY,)), data=st.data())
def test_one_more_deny_rule_never_permits(policy, request, added, data):
    place = data.draw(st.integers(0, len(policy)))
    before = decide(policy, request)

    after = decide([*policy[:place], added, *policy[place:]], request)

    assert isinstance(before, Permit) or isinstance(after, NotPermitted)


@given(policy=policies, request=requests(), data=st.data())
def test_one_allow_rule_less_never_permits(policy, request, data):
    kept = [r for r in policy if r.effect is Effect.DENY or data.draw(st.booleans())]
    before = decide(policy, request)

    after = decide(kept, request)

    assert isinstance(before, Permit) or isinstance(after, NotPermitted)


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
        replace(
            rule,
            match=tuple(replace(m, resources=m.resources - {"nodes/proxy"}) for m in rule.match),
        )
        for rule in policy
    ]

    assert isinstance(decide(unnamed, request), NotPermitted)


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
        end = decision.valid_until or request.environment.received_at + timedelta(days=400)
        later = request.environment.received_at + share * (
            end - request.environment.received_at - timedelta(seconds=1)
        )

        assert isinstance(decide(policy, _at(request, later)), Permit)


@settings(max_examples=150)
@given(
    policy=policies | narrow_policies(),
    request=requests(),
    days=st.lists(st.floats(-400, 400) | st.floats(0, 9), min_size=1, max_size=4),
)
def test_an_engine_in_use_judges_at_any_time_as_the_plain_reading_does(policy, request, days):
    """What it keeps of one time is of no weight at another."""
    engine = engine_of(policy)
    engine.decide(request)
    for later in days:
        then = _at(request, request.environment.received_at + timedelta(days=later))
        expected = is_permitted(policy, then, DEFINITIONS)
        assert isinstance(engine.decide(then), Permit) is expected


@settings(max_examples=150)
@given(policy=policies, request=requests(), other=requests())
def test_a_permit_stands_while_nothing_it_depends_on_has_changed(policy, request, other):
    """Everything is exchanged that the permit does not name."""
    decision = decide(policy, request)
    if isinstance(decision, Permit):
        assert isinstance(decide(policy, _exchanged(request, other, decision.depends_on)), Permit)


@given(policy=policies, request=requests())
def test_a_hint_names_no_rule_that_means_another_subject(policy, request):
    """Neither id nor message of a rule for others reaches the user."""
    named = [
        replace(rule, id=f"rule-{n}-end", message=f"message-{n}-end")
        for n, rule in enumerate(policy)
    ]
    groups = {*request.subject.groups, "system:authenticated"}
    decision = decide(named, request)
    if isinstance(decision, NotPermitted):
        for rule in named:
            is_workload = bool(rule.spiffe_ids) and bool(request.subject.spiffe_id)
            is_person = request.subject.username in rule.users or bool(groups & rule.groups)
            if not is_workload and not is_person:
                assert rule.id not in decision.hint
                assert rule.message not in decision.hint
                assert rule.id != decision.rule


def _exchanged(request, other, kept):
    """Return the request with the facts of another, but for those that are kept."""
    if "moved" in kept:  # Where a session has gone is told from where its request comes from.
        kept = kept | {"network", "location"}
    environment = _with(request.environment, other.environment, kept, _OF_ENVIRONMENT)
    subject = _with(request.subject, other.subject, kept, _OF_SUBJECT)
    subject = _with(subject, other.subject, kept, {"moved": ["signed_in_from", "seen_from"]})
    changed = replace(request, environment=environment, subject=subject)
    return _with(changed, other, kept, _OF_THE_REST)


_OF_ENVIRONMENT = {
    "network": ["source_address"],
    "location": ["country", "asn"],
    "moved": ["sign_in_country", "seen_country"],
    "time": ["received_at"],
    "reason": ["reason"],
    "request": ["user_agent"],
}
_OF_SUBJECT = {
    "authentication": [
        *("authenticated_at", "issued_at", "issuer"),
        *("authentication_class", "authentication_methods"),
        *("method", "session_began_at", "risk"),
    ]
}
_OF_THE_REST = {"device": ["device"], "namespace": ["namespace_labels"], "object": ["api_object"]}


def _with(value, other, kept, names):
    fields = [field for kind, fields in names.items() if kind not in kept for field in fields]
    return replace(value, **{field: getattr(other, field) for field in fields})


def _at(request, at):
    environment = replace(request.environment, received_at=at)
    return replace(request, environment=environment)

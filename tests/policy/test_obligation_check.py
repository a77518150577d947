"""What an allow rule asks besides lets nobody through who does not meet it, one by one."""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from kzproxy.attributes.attributes import Attributes
from kzproxy.policy.decision import Cause, Decision, Deny, Dependency, Permit
from kzproxy.policy.obligations import MultiFactor, Obligations
from tests.policy.samples import WEDNESDAY_MORNING, allow, asked, decide, match, subject

POD = "/api/v1/namespaces/dev/pods/web"
PODS = "/api/v1/namespaces/dev/pods"
ALL = (match("*", "*"), match("*", urls="*"))


def judged(attributes: Attributes, **obligations: object) -> Decision:
    return decide([allow("r", *ALL, obligations=Obligations(**obligations))], attributes)  # type: ignore[arg-type]


def unmet(attributes: Attributes, **obligations: object) -> tuple[str, ...]:
    decision = judged(attributes, **obligations)
    if isinstance(decision, Permit):
        return ()
    assert isinstance(decision, Deny)
    assert decision.cause is Cause.OBLIGATION
    return decision.unmet


@pytest.mark.parametrize(
    ("method", "target", "reads"),
    [
        ("GET", POD, True),
        ("GET", PODS, True),
        ("GET", f"{PODS}?watch=1", True),
        ("GET", f"{POD}/log", True),
        ("GET", "/version", True),
        ("HEAD", "/version", True),
        ("POST", PODS, False),
        ("POST", f"{PODS}?dryRun=All", False),
        ("PUT", POD, False),
        ("PATCH", POD, False),
        ("DELETE", POD, False),
        ("DELETE", PODS, False),
        ("GET", f"{POD}/exec", False),
        ("GET", f"{POD}/proxy/", False),
        ("POST", "/version", False),
    ],
)
def test_what_may_only_read_changes_nothing(method, target, reads):
    request = asked(method, target)

    assert unmet(request, read_only=True) == (() if reads else ("readOnly",))


@pytest.mark.parametrize(
    ("method", "target", "passes"),
    [
        ("GET", PODS, True),
        ("GET", "/version", True),
        ("POST", f"{PODS}?dryRun=All", True),
        ("DELETE", f"{POD}?dryRun=All", True),
        ("POST", PODS, False),
        ("DELETE", POD, False),
        ("POST", "/version", False),
        ("POST", f"{POD}/exec?dryRun=All", False),
        ("POST", f"{POD}/proxy/?dryRun=All", False),
    ],
)
def test_what_is_for_dry_runs_alone_changes_nothing(method, target, passes):
    request = asked(method, target)

    assert unmet(request, dry_run_only=True) == (() if passes else ("dryRunOnly",))


def test_a_reason_is_asked_for_until_one_is_given():
    request = asked("DELETE", POD)
    given = replace(request, environment=replace(request.environment, reason="INC-1"))

    assert unmet(request, reason=True) == ("reason",)
    assert unmet(given, reason=True) == ()


def test_a_token_that_is_not_bound_does_not_pass_for_one_that_is():
    bound = replace(subject(), confirmation="ab" * 32)

    assert unmet(asked("GET", POD), bound=True) == ("bound",)
    assert unmet(asked("GET", POD, who=bound), bound=True) == ()


def test_all_that_is_not_met_is_named():
    fields = {"reason": True, "read_only": True, "dry_run_only": True, "bound": True}

    assert unmet(asked("DELETE", POD), **fields) == ("reason", "readOnly", "dryRunOnly", "bound")


@pytest.mark.parametrize(
    ("obligations", "rests_on"),
    [
        ({"reason": True}, {Dependency.REASON}),
        ({"read_only": True}, {Dependency.REQUEST}),
        ({"dry_run_only": True}, {Dependency.REQUEST}),
        ({"reauth": timedelta(hours=1)}, {Dependency.AUTHENTICATION, Dependency.TIME}),
        ({"mfa": MultiFactor(methods=frozenset({"otp"}))}, {Dependency.AUTHENTICATION}),
        ({}, set()),
    ],
)
def test_a_permit_rests_on_what_its_obligations_look_at(obligations, rests_on):
    who = replace(
        subject(), authenticated_at=WEDNESDAY_MORNING, authentication_methods=("pwd", "otp")
    )
    request = asked("GET", POD, who=who)
    given = replace(request, environment=replace(request.environment, reason="INC-1"))
    permit = judged(given, **obligations)

    assert isinstance(permit, Permit)
    assert permit.depends_on >= {Dependency.IDENTITY, *rests_on}
    if not rests_on:
        assert permit.depends_on == {Dependency.IDENTITY}


def test_a_permit_ends_with_the_tighter_of_two_ages():
    who = replace(subject(), authenticated_at=WEDNESDAY_MORNING - timedelta(minutes=5))
    request = asked("GET", POD, who=who)
    mfa = MultiFactor(max_age=timedelta(minutes=10))

    by_mfa = judged(request, mfa=mfa, reauth=timedelta(minutes=30))
    by_reauth = judged(request, mfa=mfa, reauth=timedelta(minutes=6))

    assert isinstance(by_mfa, Permit)
    assert by_mfa.valid_until == WEDNESDAY_MORNING + timedelta(minutes=5)
    assert isinstance(by_reauth, Permit)
    assert by_reauth.valid_until == WEDNESDAY_MORNING + timedelta(minutes=1)

from datetime import timedelta
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from kzproxy.attributes.api_object import ApiObject
from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import NO_DEVICE, CheckResult, Fact
from kzproxy.attributes.environment import Environment
from kzproxy.attributes.identity import SPIFFE_ID_EXTRA, Identity
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.expressions.errors import ExpressionError
from kzproxy.policy.decision import Dependency
from kzproxy.policy.expression import (
    ATTRIBUTES,
    DeclaredNames,
    ExpressionFailedError,
    compile_expression,
)
from kzproxy.policy.expression_facts import Circumstances, facts_of
from tests.policy.samples import ENROLLED, WEDNESDAY_MORNING

NAMES = DeclaredNames(
    networks=frozenset({"office", "vpn"}),
    calendars=frozenset({"office-hours"}),
    conditions=frozenset({"on-site", "calm"}),
)
CIRCUMSTANCES = Circumstances(
    tier=lambda: 2,
    networks=lambda: ["office"],
    calendars=lambda: ["office-hours"],
    conditions=lambda: {"on-site": True},
)
IDENTITY = Identity(
    username="spiffe-ci",
    groups=("staff", "ci"),
    extra=((SPIFFE_ID_EXTRA, ("spiffe://example.org/ns/ci/sa/builder",)),),
    method="oidc",
    issuer="https://idp.example.org",
    subject="1",
    expires_at=WEDNESDAY_MORNING + timedelta(hours=1),
    authenticated_at=WEDNESDAY_MORNING - timedelta(hours=2),
    authentication_class="phr",
    authentication_methods=("hwk", "user"),
    issued_at=WEDNESDAY_MORNING - timedelta(minutes=5),
    signed_in_from="203.0.113.7",
    risk="MEDIUM",
)
LAPTOP = replace(
    ENROLLED,
    state="approved",
    owner="spiffe-ci",
    managed=Fact.PASSED,
    checks=tuple(
        (
            name,
            CheckResult(
                fact=fact,
                observed_at=WEDNESDAY_MORNING - timedelta(minutes=10),
                expires_at=WEDNESDAY_MORNING + timedelta(minutes=minutes),
                source="self",
            ),
        )
        for name, fact, minutes in [
            ("disk_encrypted", Fact.PASSED, 5),
            ("firewall", Fact.FAILED, 5),
            ("patched", Fact.PASSED, 0),
        ]
    ),
    os="ubuntu",
    os_version="24.04",
    observed_at=WEDNESDAY_MORNING - timedelta(minutes=10),
    risk="LOW",
)
TARGET = "/api/v1/namespaces/dev/pods/web-0/exec?command=ls&command=-l&container=app"


def attributes(**changes: object) -> Attributes:
    members: dict[str, object] = {
        "subject": IDENTITY,
        "device": LAPTOP,
        "request": RequestInfo.parse("POST", TARGET),
        "environment": Environment(
            received_at=WEDNESDAY_MORNING,
            source_address=ip_address("203.0.113.7"),
            country="DE",
            asn=64500,
            sign_in_country="DE",
            user_agent="kubectl/v1.36.0",
        ),
        "namespace_labels": (("env", "prod"),),
        "api_object": ApiObject(labels=(("app", "web"),), images=("nginx:1",)),
    }
    return Attributes(**(members | changes))  # type: ignore[arg-type]


def holds(text: str, **changes: object) -> bool:
    expression = compile_expression(text, NAMES)
    return expression.evaluate(facts_of(attributes(**changes), CIRCUMSTANCES))


@pytest.mark.parametrize(
    "text",
    [
        'device.tier >= 1 && "office" in source.networks',
        'device.enrolled && device.id == "laptop-1"',
        'user.name == "spiffe-ci" && "ci" in user.groups && user.issuer.startsWith("https://")',
        'authentication.known && authentication.age < duration("8h")',
        'authentication.acr == "phr" && "hwk" in authentication.amr',
        'session.age == duration("2h")',
        'session.mode == "direct" && !session.bound && session.risk == "MEDIUM"',
        'device.passed == ["disk_encrypted"] && device.failed == ["firewall"]',
        '"patched" in device.unknown && "edr_running" in device.unknown',
        'device.state == "approved" && device.managed && device.owner == user.name',
        'device.os == "ubuntu" && device.osVersion.startsWith("24.")',
        'device.postureAge == duration("10m") && device.riskKnown && device.risk != "HIGH"',
        'cidr("203.0.113.0/24").containsIP(source.ip)',
        '"office-hours" in time.calendars && time.now.getHours("Europe/Prague") == 11',
        'workload.trust_domain == "example.org" && workload.namespace == "ci"',
        'workload.service_account == "builder" && workload.spiffe_id.glob("spiffe://*/sa/*")',
        'request.verb == "connect" && request.resource == "pods" && request.subresource == "exec"',
        'request.namespace == "dev" && request.name.glob("web-*") && request.container == "app"',
        'request.command == ["ls", "-l"] && request.user_agent.glob("kubectl/*")',
        'request.is_resource && !request.dry_run && request.reason == ""',
        'request.namespace_known && request.namespace_labels["env"] == "prod"',
        'request.namespace_labels.env == "prod"',
        'object.labels.app == "web" && !object.privileged && !object.host_namespaces',
        'object.images.all(image, image.startsWith("nginx:"))',
        'conditions["on-site"]',
        'user.extra["kzproxy.dev/spiffe-id"][0].startsWith("spiffe://example.org/")',
    ],
)
def test_attributes_are_read_as_they_are(text: str) -> None:
    assert holds(text) is True


def test_every_declared_attribute_has_a_value() -> None:
    facts = facts_of(attributes(), CIRCUMSTANCES)
    assert {name for name in ATTRIBUTES if facts.value(name) is None} == set()


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        ("device.enrolled", {"device": NO_DEVICE}),
        ("!device.enrolled", {"device": NO_DEVICE}),
        ("object.privileged", {"api_object": None}),
        ("!object.privileged", {"api_object": ApiObject(is_patch=True)}),
        ('request.namespace_labels.env == "prod"', {"namespace_labels": None}),
        ('request.namespace_labels.tier == "1"', {}),
        ("conditions.calm", {}),
        ("!conditions.calm", {}),
    ],
)
def test_what_is_not_known_is_neither_true_nor_false(text: str, changes: dict[str, object]) -> None:
    with pytest.raises(ExpressionFailedError):
        holds(text, **changes)


def test_what_is_not_known_and_not_needed_does_no_harm() -> None:
    assert holds("object.privileged || device.tier == 2", api_object=None)


@pytest.mark.parametrize(
    ("text", "column", "words"),
    [
        ("device.tier", 1, "must be true or false; this gives an int"),
        ('"ofice" in source.networks', 1, "`ofice` is not declared in `networks`"),
        ('"nights" in time.calendars', 1, "`nights` is not declared in `calendars`"),
        ("user.name in source.networks", 11, "must be asked for a literal"),
        ('conditions["off-site"]', 11, "`off-site` is not declared in `conditions`"),
        ("conditions.offsite", 11, "`offsite` is not declared in `conditions`"),
        ("conditions.size() == 1", 1, "must be asked for one"),
        ("has(conditions.calm)", 5, "must be asked for one"),
        ("device.teir == 1", 7, "did you mean `device.tier`"),
        ("user.groups.exists(g, g in user.groups)", 32, "again at each step"),
    ],
)
def test_a_mistake_names_what_is_wrong(text: str, column: int, words: str) -> None:
    with pytest.raises(ExpressionError) as caught:
        compile_expression(text, NAMES)
    assert words in caught.value.message
    assert (caught.value.line, caught.value.column) == (1, column)


def test_an_expression_says_what_it_rests_on() -> None:
    expression = compile_expression(
        'session.age < duration("1h") && request.reason != "" && conditions["on-site"]', NAMES
    )
    assert expression.reads == {"session.age", "request.reason", "conditions"}
    assert expression.conditions == {"on-site"}
    assert expression.depends_on == {
        Dependency.AUTHENTICATION,
        Dependency.TIME,
        Dependency.REASON,
    }
    assert not expression.needs_object
    assert compile_expression("object.privileged", NAMES).needs_object


# A plain Python reading of a corner of the language, to hold the library's against.
_LEAVES = {
    "device.tier >= 2": True,
    "device.tier < 2": False,
    '"office" in source.networks': True,
    'user.name == "nobody"': False,
    'user.groups.exists(g, g == "ci")': True,
    'user.groups.all(g, g.startsWith("x"))': False,
    "object.privileged": None,
}
Reading = tuple[str, bool | None]


def _and(left: Reading, right: Reading) -> Reading:
    values = {left[1], right[1]}
    value = False if False in values else None if None in values else True
    return f"({left[0]} && {right[0]})", value


def _or(left: Reading, right: Reading) -> Reading:
    values = {left[1], right[1]}
    value = True if True in values else None if None in values else False
    return f"({left[0]} || {right[0]})", value


def _not(inner: Reading) -> Reading:
    return f"!({inner[0]})", None if inner[1] is None else not inner[1]


def _choice(asked: Reading, left: Reading, right: Reading) -> Reading:
    value = None if asked[1] is None else left[1] if asked[1] else right[1]
    return f"({asked[0]} ? {left[0]} : {right[0]})", value


readings = st.recursive(
    st.sampled_from(sorted(_LEAVES.items())),
    lambda inner: (
        st.builds(_and, inner, inner)
        | st.builds(_or, inner, inner)
        | st.builds(_not, inner)
        | st.builds(_choice, inner, inner, inner)
    ),
    max_leaves=8,
)


def _value(text: str) -> bool | None:
    try:
        return holds(text, api_object=None)
    except ExpressionFailedError:
        return None


@given(readings)
def test_an_expression_means_what_a_plain_reading_says(reading: Reading) -> None:
    text, expected = reading
    assert _value(text) is expected

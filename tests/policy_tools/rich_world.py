"""Random policies that ask for everything, as text, and questions that they may be asked."""

from datetime import timedelta
from ipaddress import ip_address

from hypothesis import strategies as st
from msgspec.structs import replace

from kzproxy.attributes.api_object import ApiObject
from kzproxy.attributes.identity import SPIFFE_ID_EXTRA
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.policy_tools.told_device import ToldDevice, posture_of
from tests.policy_tools.asking import questions as plain_questions
from tests.policy_tools.policies import EVERYTHING, rule
from tests.policy_tools.random_policies import matches

BUILDER = "spiffe://example.org/ns/ci/builder"
NETWORKS = {"office": "192.0.2.0/24", "lab": "192.0.2.128/25", "home": "198.51.100.0/24"}
DEFINITIONS = (
    "networks: {"
    + ", ".join(f'{name}: ["{block}"]' for name, block in NETWORKS.items())
    + "}\n"
    + "calendars:\n  hours:\n    timeZone: Europe/Prague\n"
    '    weekly: [{days: [Mon, Tue, Wed, Thu, Fri], from: "07:00", to: "20:00"}]\n'
    "conditions:\n  on-site: {networks: [office]}\n"
    "  trusted: {device: {enrolled: true}}\n"
    "  fresh: {authentication: {maxAge: 1h, methods: [hwk]}}\n"
    "tiers:\n- {level: 1, name: known, conditions: {device: {enrolled: true}}}\n"
    "- {level: 2, name: fresh, conditions: {all: [fresh, trusted]}}\n"
    "- {level: 3, name: healthy, conditions: {device: {checks: {passed: [firewall, patched]}},"
    " all: [fresh, trusted]}}\n"
)
EXPRESSIONS = (
    '"lab" in source.networks || request.name == "web"',
    'authentication.acr == "phr" && request.user_agent.startsWith("kubectl/")',
    'request.reason.contains("INC-")',
    'source.geoKnown && source.country != "AT" || source.asn == 64500',
    "conditions.fresh && !(device.tier > 2)",
    'user.extra["k"].exists(v, v == "x")',
)
_CONDITIONS = (
    "networks: [office]",
    "networks: [lab, home]",
    "countries: [DE, FR]",
    "asns: [64500]",
    "time: [hours]",
    'workload: {spiffeIDs: ["spiffe://example.org/*"]}',
    'request: {userAgents: ["kubectl/*"]}',
    "request: {dryRun: true}",
    "object: {privileged: false}",
    "all: [on-site]",
    "any: [on-site, trusted]",
    "none: [on-site]",
)
_OF_EFFECT = {
    "allow": (
        "device: {enrolled: true}",
        "device: {tier: 2}",
        "device: {tier: healthy}",
        "device: {checks: {passed: [firewall, disk_encrypted], maxAge: 15m}}",
        "device: {owner: self, state: approved, postureAge: {atMost: 1h}}",
        'device: {managed: true, os: [{platform: ubuntu, minVersion: "24.04"}]}',
        "device: {risk: {atMost: MEDIUM}}",
        "session: {mode: session}",
        "session: {sameAddress: true}",
        "session: {sameCountry: true}",
        "authentication: {maxAge: 1h, classes: [phr]}",
        "authentication: {methods: [hwk]}",
        'authentication: {issuers: ["https://other.example"]}',
        "session: {maxAge: 1h}",
        "all: [fresh, trusted]",
    ),
    "deny": ("device: {enrolled: false}", "device: {belowTier: 2}", "none: [fresh]"),
}
_OBLIGATIONS = (
    "reason: required",
    "mfa: {maxAge: 1h, classes: [phr]}",
    "reauth: {maxAge: 15m}",
    "readOnly: true",
    "dryRunOnly: true",
    "bound: true",
    "idle: 5m",
)


def _word(text):
    return text.partition(":")[0]


@st.composite
def _further_fields(draw, effect):
    fields = []
    if draw(st.integers(0, 3)):
        known = [*_CONDITIONS, *_OF_EFFECT[effect]]
        several = st.lists(st.sampled_from(known), min_size=1, max_size=3, unique_by=_word)
        asked = draw(several)
        fields.append("conditions: {" + ", ".join(asked) + "}")
        if any(_word(one) == "object" for one in asked):
            fields.append("needs: [object]")
    if draw(st.integers(0, 3)) == 0:
        fields.append(f"when: '{draw(st.sampled_from(EXPRESSIONS))}'")
    if effect == "allow" and draw(st.booleans()):
        several = st.lists(st.sampled_from(_OBLIGATIONS), min_size=1, max_size=2, unique=True)
        fields.append("obligations: {" + ", ".join(draw(several)) + "}")
    return ", ".join(fields)


@st.composite
def policies(draw):
    """Strategy for the rules of a policy that may use what ``DEFINITIONS`` defines."""
    rules = ""
    for number in range(draw(st.integers(1, 4))):
        effect = draw(st.sampled_from(["allow", "allow", "deny"]))
        groups = draw(st.sampled_from(['["g", "h"]', "[h]", '["system:authenticated"]']))
        reached = draw(matches(effect)) if draw(st.integers(0, 3)) == 0 else EVERYTHING
        rules += rule(f"r{number}", effect, reached, draw(_further_fields(effect)), groups)
    return rules


def devices(at):
    """Strategy for enrolled devices that have reported."""
    checks = st.lists(st.sampled_from(["disk_encrypted", "firewall", "patched"]), unique=True)
    return st.builds(
        posture_of,
        st.builds(
            ToldDevice,
            enrolled=st.just(value=True),
            managed=st.sampled_from([None, True]),
            state=st.sampled_from(["", "approved", "pending"]),
            owner=st.sampled_from(["", "ann"]),
            passed=checks.map(tuple),
            posture_age=st.sampled_from([timedelta(minutes=1), timedelta(minutes=30)]),
            os=st.sampled_from(["", "ubuntu"]),
            os_version=st.sampled_from(["", "22.04", "26.04"]),
            risk=st.sampled_from(["", "LOW", "HIGH"]),
        ),
        st.just(at),
    )


@st.composite
def questions(draw):
    """Strategy for all that a decision rests on."""
    question = draw(plain_questions())
    if draw(st.booleans()):
        dry = RequestInfo.parse("POST", "/api/v1/namespaces/dev/pods?dryRun=All")
        question = replace(question, request=dry)
    at = question.environment.received_at
    age = st.sampled_from([None, timedelta(), timedelta(minutes=30), timedelta(hours=2)])
    signed_in, issued = draw(age), draw(age)
    extra = draw(st.sampled_from([(), (), ((SPIFFE_ID_EXTRA, (BUILDER,)),), (("k", ("x",)),)]))
    subject = replace(
        question.subject,
        authenticated_at=None if signed_in is None else at - signed_in,
        issued_at=None if issued is None else at - issued,
        authentication_methods=draw(st.sampled_from([(), ("hwk",), ("otp",)])),
        confirmation=draw(st.sampled_from(["", "00" * 32])),
        extra=extra,
        signed_in_from=draw(st.sampled_from(["", "192.0.2.7", "198.51.100.1"])),
        **draw(st.sampled_from([{}, {"method": "session", "session_began_at": at}])),
    )
    environment = replace(
        question.environment,
        source_address=ip_address(
            draw(st.sampled_from(["192.0.2.7", "192.0.2.200", "198.51.100.1", "203.0.113.7"]))
        ),
        country=draw(st.sampled_from(["", "DE", "AT"])),
        asn=draw(st.sampled_from([0, 64500, 64501])),
        sign_in_country=draw(st.sampled_from(["", "DE", "AT"])),
        user_agent=draw(st.sampled_from(["", "kubectl/v1.36", "k9s"])),
    )
    known = st.builds(ApiObject, privileged=st.booleans(), is_patch=st.just(value=False))
    return replace(
        question,
        device=draw(st.just(question.device) | devices(at)),
        subject=subject,
        environment=environment,
        api_object=draw(st.none() | known),
    )

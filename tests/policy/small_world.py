"""Random rules and requests in a world so small that they meet often."""

from datetime import date, timedelta

from hypothesis import strategies as st
from msgspec.structs import replace

from kzproxy.attributes.api_object import ApiObject
from kzproxy.attributes.device import NO_DEVICE, CheckResult, Fact
from kzproxy.attributes.identity import SPIFFE_ID_EXTRA
from kzproxy.policy.calendar import Calendar, Holidays
from kzproxy.policy.device_features import NO_FEATURES, RISKS, DeviceFeatures, Platform
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.expression import DeclaredNames, compile_expression
from kzproxy.policy.obligations import NO_OBLIGATIONS, MultiFactor, Obligations
from kzproxy.policy.rules import (
    AccessPolicySet,
    Conditions,
    Effect,
    Match,
    NamedCondition,
    ObjectFeatures,
    RequestFeatures,
    Rule,
    SignIn,
    Tier,
)
from kzproxy.policy.selectors import LabelRequirement, LabelSelector, Operator
from tests.policy.plain_reading import Definitions
from tests.policy.plain_when import READINGS
from tests.policy.samples import (
    ENROLLED,
    OFFICE,
    OFFICE_HOURS,
    WEDNESDAY_MORNING,
    asked,
    dated,
    match,
    subject,
    window,
)

USERS = ["ann", "bob"]
GROUPS = ["dev", "ops"]
NAMESPACES = ["dev", "prod"]
RESOURCES = ["pods", "secrets", "nodes", "namespaces", "widgets"]
SUBRESOURCES = ["log", "exec", "proxy", "status"]
NIGHT = window("night", "America/New_York", "Tue Wed Thu", "22:00", "05:30")
HOLIDAYS = frozenset({date(2026, 1, 16), date(2026, 4, 3)})
# Open all year, but for two days and a fortnight.
DEPLOYS = replace(
    window("deploys", "Europe/Prague", "Mon Tue Wed Thu Fri Sat Sun", "00:00", "24:00"),
    holidays=Holidays(country="X", subdivision="", include=HOLIDAYS.__contains__),
    exceptions=(dated("2026-12-20", "2027-01-03"),),
)
# Shut all year, but for two days and ten weeks.
SPRINTS = Calendar(
    name="sprints",
    zone_name=OFFICE_HOURS.zone_name,
    zone=OFFICE_HOURS.zone,
    dated=(
        dated("2026-01-14T12:00", "2026-01-16"),
        dated("2026-03-01", "2026-05-10T18:00"),
    ),
)
# Shut until a Friday noon, and open for good from then on.
LAUNCHED = Calendar(
    name="launched",
    zone_name=OFFICE_HOURS.zone_name,
    zone=OFFICE_HOURS.zone,
    dated=(dated("2026-01-16T12:00", "9999-12-31"),),
)
NETWORKS = (OFFICE,)
CALENDARS = (OFFICE_HOURS, NIGHT, DEPLOYS, SPRINTS, LAUNCHED)
HOUR = timedelta(hours=1)
BUILDER = "spiffe://example.org/ns/ci/builder"
EXPRESSIONS = {
    text: compile_expression(
        text,
        DeclaredNames(
            networks=frozenset({"office"}),
            calendars=frozenset({"office-hours", "night"}),
            conditions=frozenset({"fresh", "calm", "some"}),
        ),
    )
    for text in READINGS
}
NAMED = (
    NamedCondition(name="on-site", conditions=Conditions(networks=(OFFICE,))),
    NamedCondition(name="known", conditions=Conditions(device_enrolled=True)),
    NamedCondition(name="unknown", conditions=Conditions(device_enrolled=False)),
    NamedCondition(
        name="fresh", conditions=Conditions(sign_in=SignIn(max_age=HOUR, classes=frozenset("s")))
    ),
    NamedCondition(name="robot", conditions=Conditions(workloads=("spiffe://example.org/*",))),
    NamedCondition(name="tame", conditions=Conditions(api_object=ObjectFeatures(privileged=False))),
    NamedCondition(
        name="calm",
        conditions=Conditions(
            time=(OFFICE_HOURS,), any_of=("known", "fresh"), none_of=("robot", "unknown")
        ),
    ),
    NamedCondition(name="some", conditions=Conditions(any_of=("tame", "on-site"))),
    NamedCondition(name="tiered", conditions=Conditions(device_tier=2, all_of=("calm",))),
    NamedCondition(
        name="healthy",
        conditions=Conditions(
            device=DeviceFeatures(checks=frozenset({"firewall"}), checks_max_age=HOUR)
        ),
    ),
    NamedCondition(name="quiet", conditions=Conditions(session_max_risk="MEDIUM")),
    NamedCondition(name="strong", when=EXPRESSIONS['authentication.acr == "s"']),
    NamedCondition(
        name="watched",
        conditions=Conditions(any_of=("on-site", "strong")),
        when=EXPRESSIONS["device.managed"],
    ),
)
TIERS = (
    Tier(level=1, name="known", conditions=Conditions(device_enrolled=True)),
    Tier(level=2, name="fresh", conditions=Conditions(all_of=("fresh", "known"))),
    # Reached without those below it, which is odd and allowed.
    Tier(
        level=4,
        name="healthy",
        conditions=Conditions(
            device=DeviceFeatures(checks=frozenset({"firewall"})), all_of=("known",)
        ),
    ),
    Tier(level=3, name="fixed", conditions=Conditions(networks=(OFFICE,), time=(NIGHT,))),
    Tier(level=5, name="seen", when=EXPRESSIONS['device.postureAge <= duration("30m")']),
)
DEFINITIONS = Definitions(NAMED, TIERS, NETWORKS, CALENDARS)


def engine_of(rules):
    """Make an engine of the rules and what this world defines."""
    return PolicyEngine(
        AccessPolicySet(
            rules=tuple(rules),
            conditions=NAMED,
            tiers=TIERS,
            networks=NETWORKS,
            calendars=CALENDARS,
        )
    )


def decide(rules, attributes):
    """Judge by the rules and what this world defines."""
    return engine_of(rules).decide(attributes)


def few(values, **bounds):
    """Strategy for a few of ``values``."""
    return st.lists(st.sampled_from(values), unique=True, max_size=3, **bounds)


def rarely(strategy, otherwise=None):
    """Strategy that seldom gives anything, so that rules with everything still match."""
    return st.integers(0, 5).flatmap(lambda n: st.just(otherwise) if n else strategy)


label_selectors = st.builds(
    LabelSelector,
    requirements=st.lists(
        st.builds(
            LabelRequirement,
            key=st.sampled_from(["env", "team"]),
            operator=st.sampled_from(list(Operator)),
            values=few(["prod", "a", ""], min_size=1).map(frozenset),
        ),
        min_size=1,
        max_size=2,
    ).map(tuple),
)
equalities = few([("team", "a"), ("env", "prod"), ("env", "")], min_size=1).map(frozenset)
verbs = few(
    ["*", "get", "list", "watch", "create", "update", "patch", "delete", "connect", "proxy"],
    min_size=1,
)
resource_patterns = few(
    ["*", "*/*", "*/proxy", "*/exec", "nodes/*", "pods/*", "nodes/proxy", "pods/log", *RESOURCES],
    min_size=1,
)
resource_matches = st.builds(
    Match,
    verbs=verbs.map(frozenset),
    api_groups=few(["", "*", "apps"], min_size=1).map(frozenset),
    resources=resource_patterns.map(frozenset),
    excluded_resources=few(["secrets", "pods/log", "pods/*", "*/exec"]).map(frozenset)
    | st.just(frozenset()),
    namespaces=few(["dev", "prod", "p*", "*"]).map(tuple),
    names=few(["a", "b", "a*", "dev"]).map(tuple),
    namespace_selector=rarely(label_selectors),
)
# The loader lets only allow rules have selectors, and only on collections.
selecting_matches = st.builds(
    Match,
    verbs=few(["*", "list", "watch"], min_size=1).map(frozenset),
    api_groups=st.just(frozenset({"*"})),
    resources=resource_patterns.map(frozenset),
    label_equalities=equalities | st.just(frozenset()),
    field_equalities=few([("metadata.name", "a"), ("spec.nodeName", "n")]).map(frozenset),
)
url_matches = st.builds(
    Match,
    verbs=few(["*", "get", "post"], min_size=1).map(frozenset),
    non_resource_urls=few(["*", "/version", "/api*", "/apis/*"], min_size=1).map(frozenset),
)
sign_ins = st.builds(
    SignIn,
    max_age=st.sampled_from([None, HOUR]),
    classes=few(["s", "w"]).map(frozenset),
    methods=few(["hwk", "otp"]).map(frozenset),
    issuers=few(["https://idp.example", "https://other.example"]).map(frozenset),
)
request_features = st.builds(
    RequestFeatures,
    user_agents=few(["kubectl/*", "k9s"]).map(tuple),
    dry_run=st.sampled_from([None, None, True, False]),
    commands=rarely(few(["ls *", "*", "sh"], min_size=1).map(tuple), ()),
    containers=rarely(few(["app", "side*"], min_size=1).map(tuple), ()),
)
object_features = st.builds(
    ObjectFeatures,
    privileged=st.sampled_from([None, True, False]),
    host_namespaces=st.sampled_from([None, None, True, False]),
    service_accounts=few(["default", "ci-*"]).map(tuple),
    images=few(["good/*", "bad/*"]).map(tuple),
    labels=rarely(label_selectors),
)
device_features = st.builds(
    DeviceFeatures,
    managed=rarely(st.just(True), otherwise=False),
    state=rarely(st.just("approved"), ""),
    own=rarely(st.just(True), otherwise=False),
    checks=few(["firewall", "patched"]).map(frozenset),
    checks_max_age=rarely(st.sampled_from([HOUR / 2, HOUR])),
    posture_max_age=rarely(st.sampled_from([HOUR / 2, HOUR])),
    platforms=rarely(
        few(
            [
                Platform(name="ubuntu"),
                Platform(name="ubuntu", min_version="24.4"),
                Platform(name="macos", min_version="14"),
            ],
            min_size=1,
        ).map(tuple),
        (),
    ),
    max_risk=rarely(st.sampled_from(["LOW", "MEDIUM"]), ""),
)
expressions = st.sampled_from(list(EXPRESSIONS.values()))
names_of_conditions = few([each.name for each in NAMED]).map(tuple)
conditions = st.builds(
    Conditions,
    networks=few([OFFICE]).map(tuple),
    countries=rarely(few(["DE", "FR"], min_size=1).map(frozenset), frozenset()),
    asns=rarely(few([64500, 64501], min_size=1).map(frozenset), frozenset()),
    time=few([OFFICE_HOURS, NIGHT, DEPLOYS, SPRINTS, LAUNCHED]).map(tuple),
    device_enrolled=st.sampled_from([None, None, True, False]),
    device_tier=rarely(st.integers(1, 5)),
    device_below_tier=rarely(st.integers(1, 5)),
    device=rarely(device_features, NO_FEATURES),
    sign_in=rarely(sign_ins),
    session_max_age=rarely(st.just(2 * HOUR)),
    session_kept=rarely(st.just(True), otherwise=False),
    session_max_risk=rarely(st.sampled_from(["LOW", "MEDIUM"]), ""),
    session_same_address=rarely(st.just(True), otherwise=False),
    session_same_country=rarely(st.just(True), otherwise=False),
    workloads=rarely(st.sampled_from([(BUILDER,), ("spiffe://*",)]), ()),
    request=rarely(request_features),
    api_object=rarely(object_features),
    all_of=rarely(names_of_conditions, ()),
    any_of=rarely(names_of_conditions, ()),
    none_of=rarely(names_of_conditions, ()),
)
obligations = st.just(NO_OBLIGATIONS) | st.builds(
    Obligations,
    mfa=rarely(
        st.builds(
            MultiFactor,
            max_age=st.sampled_from([None, HOUR]),
            classes=few(["s", "w"]).map(frozenset),
            methods=few(["hwk", "otp"]).map(frozenset),
        )
    ),
    reauth=rarely(st.just(HOUR)),
    reason=rarely(st.just(True), otherwise=False),
    max_session=rarely(st.just(HOUR)),
    idle=rarely(st.just(HOUR)),
    read_only=rarely(st.just(True), otherwise=False),
    dry_run_only=rarely(st.just(True), otherwise=False),
    bound=rarely(st.just(True), otherwise=False),
)


@st.composite
def subjects_of_rules(draw):
    users, groups = draw(few(USERS)), draw(few([*GROUPS, "system:authenticated"]))
    workloads = draw(rarely(st.sampled_from([(BUILDER,), ("spiffe://example.org/*",)]), ()))
    return {
        "users": frozenset(users),
        "groups": frozenset(groups or GROUPS[:1]),
        "spiffe_ids": workloads,
    }


@st.composite
def rules(draw, effects=tuple(Effect)):
    """Strategy for one rule of all kinds."""
    effect = draw(st.sampled_from(effects))
    matches = resource_matches | url_matches
    if effect is Effect.ALLOW:
        matches = resource_matches | resource_matches | url_matches | selecting_matches
    return Rule(
        id=f"rule-{draw(st.integers(0, 10**9))}",
        effect=effect,
        match=tuple(draw(st.lists(matches, min_size=1, max_size=2))),
        conditions=draw(conditions | st.just(Conditions())),
        when=draw(rarely(expressions)),
        patches_allowed=draw(st.booleans()),
        obligations=draw(obligations) if effect is Effect.ALLOW else NO_OBLIGATIONS,
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
        patches_allowed=draw(st.booleans()),
        obligations=draw(obligations),
    )


policies = st.lists(rules() | rules() | rules() | broad_rules(), max_size=5)

_EVERYTHING = match("*", "*")
_ONE_ASKED = st.one_of(
    st.builds(Conditions, sign_in=sign_ins),
    st.builds(Conditions, session_max_age=st.just(2 * HOUR)),
    st.builds(Conditions, workloads=st.just(("spiffe://*",))),
    st.builds(Conditions, countries=st.just(frozenset({"DE"}))),
    st.builds(Conditions, asns=st.just(frozenset({64500}))),
    st.builds(Conditions, request=request_features),
    st.builds(Conditions, api_object=object_features),
    st.sampled_from(
        [
            Conditions(api_object=ObjectFeatures(images=("good/*",))),
            Conditions(request=RequestFeatures(user_agents=("k9s",))),
            Conditions(request=RequestFeatures(containers=("app",))),
        ]
    ),
    st.builds(Conditions, device_tier=st.integers(1, 4)),
    st.builds(Conditions, device_below_tier=st.integers(1, 4)),
    st.builds(
        Conditions,
        time=few([OFFICE_HOURS, NIGHT, DEPLOYS, SPRINTS, LAUNCHED], min_size=1).map(tuple),
    ),
    st.builds(Conditions, device=device_features),
    st.builds(Conditions, session_kept=st.just(value=True)),
    st.builds(Conditions, session_same_address=st.just(value=True)),
    st.builds(Conditions, session_same_country=st.just(value=True)),
    st.builds(Conditions, session_max_risk=st.sampled_from(["LOW", "MEDIUM"])),
    st.sampled_from(
        [
            Conditions(device=DeviceFeatures(managed=True)),
            Conditions(device=DeviceFeatures(state="approved")),
            Conditions(device=DeviceFeatures(own=True)),
            Conditions(device=DeviceFeatures(checks=frozenset({"firewall"}), checks_max_age=HOUR)),
            Conditions(device=DeviceFeatures(posture_max_age=HOUR)),
            Conditions(
                device=DeviceFeatures(platforms=(Platform(name="ubuntu", min_version="24.4"),))
            ),
            Conditions(device=DeviceFeatures(max_risk="MEDIUM")),
        ]
    ),
    st.builds(Conditions, all_of=names_of_conditions),
    st.builds(Conditions, any_of=names_of_conditions),
    st.builds(Conditions, none_of=names_of_conditions),
)


_ONE_OBLIGATION = st.sampled_from(
    [
        Obligations(mfa=MultiFactor(max_age=HOUR)),
        Obligations(mfa=MultiFactor(classes=frozenset("s"))),
        Obligations(mfa=MultiFactor(methods=frozenset({"otp"}))),
        Obligations(reauth=HOUR),
        Obligations(reason=True),
        Obligations(read_only=True),
        Obligations(dry_run_only=True),
        Obligations(bound=True),
    ]
)


@st.composite
def narrow_policies(draw):
    """One thing asked by a rule that else means everything, so that it decides often."""
    effect = draw(st.sampled_from(Effect))
    kind = draw(st.sampled_from(["conditions", "conditions", "when", "selector", "obligations"]))
    asked_match = _EVERYTHING
    if kind == "selector":
        selector = draw(label_selectors)
        asked_match = replace(asked_match, namespace_selector=selector)
    narrow = Rule(
        id="narrow",
        effect=effect,
        groups=frozenset({"system:authenticated"}),
        match=(asked_match,),
        conditions=draw(_ONE_ASKED) if kind == "conditions" else Conditions(),
        when=draw(expressions) if kind == "when" else None,
        patches_allowed=draw(st.booleans()),
        obligations=draw(_ONE_OBLIGATION)
        if kind == "obligations" and effect is Effect.ALLOW
        else NO_OBLIGATIONS,
    )
    wide = replace(
        narrow,
        id="wide",
        effect=Effect.ALLOW,
        match=(_EVERYTHING,),
        conditions=Conditions(),
        when=None,
        obligations=NO_OBLIGATIONS,
    )
    return [narrow] if effect is Effect.ALLOW else [narrow, wide]


_OF_COLLECTIONS = [
    "",
    "?watch=1",
    "?fieldSelector=metadata.name%3Da",
    "?labelSelector=team%3Da",
    "?labelSelector=team%3D%3Da%2Cenv%3Dprod",
    "?labelSelector=team%20in%20(a%2Cenv%3Dprod)%2Cenv%3D",
    "?fieldSelector=spec.nodeName%3Dn%2Cmetadata.name%3Da&labelSelector=env%21%3Dprod",
]
_OF_EXEC = ["", "?command=sh", "?command=ls&command=-l&container=app", "?container=sidecar"]


@st.composite
def targets(draw):
    """Strategy for paths with their queries."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from(["/version", "/api", "/apis/apps/v1", "/metrics"]))
    root = draw(st.sampled_from(["/api/v1", "/apis/apps/v1"]))
    namespace = draw(st.sampled_from(["", *(f"/namespaces/{n}" for n in NAMESPACES)]))
    path = f"{root}{namespace}/{draw(st.sampled_from(RESOURCES))}"
    if draw(st.booleans()):
        path += f"/{draw(st.sampled_from(['a', 'b', 'ab']))}"
        path += draw(st.sampled_from(["", "", *(f"/{s}" for s in SUBRESOURCES)]))
        if path.endswith("/exec"):
            return path + draw(st.sampled_from(_OF_EXEC))
        return path + draw(st.sampled_from(["", "", "?dryRun=All"]))
    return path + draw(st.sampled_from(_OF_COLLECTIONS))


TARGETS = targets()

objects = st.builds(
    ApiObject,
    labels=few([("env", "prod"), ("team", "a"), ("team", "")]).map(
        lambda found: tuple(sorted(dict(found).items()))
    ),
    service_account=st.sampled_from(["", "default", "ci-x"]),
    privileged=st.booleans(),
    host_namespaces=st.booleans(),
    images=few(["good/a", "bad/b", "good/c"]).map(tuple),
    is_patch=st.integers(0, 3).map(lambda n: n == 0),
)


@st.composite
def subjects(draw, at):
    """Strategy for people and workloads."""
    age = st.sampled_from([None, timedelta(), HOUR / 2, HOUR, 2 * HOUR])
    signed_in, issued, began = draw(age), draw(age), draw(age)
    spiffe_id = draw(st.sampled_from(["", "", BUILDER, "spiffe://example.org/x"]))
    return replace(
        subject(draw(st.sampled_from(USERS)), " ".join(draw(few(GROUPS)))),
        authenticated_at=None if signed_in is None else at - signed_in,
        issued_at=None if issued is None else at - issued,
        authentication_class=draw(st.sampled_from(["", "s", "w"])),
        authentication_methods=tuple(draw(few(["hwk", "otp"]))),
        issuer=draw(st.sampled_from(["https://idp.example", "https://other.example"])),
        extra=((SPIFFE_ID_EXTRA, (spiffe_id,)),) if spiffe_id else (),
        confirmation=draw(st.sampled_from(["", "ab" * 32])),
        method="oidc" if began is None else "session",
        session_began_at=None if began is None else at - began,
        signed_in_from=draw(st.sampled_from(["", "192.0.2.7", "203.0.113.9"])),
        seen_from=draw(st.sampled_from(["", "192.0.2.7", "203.0.113.9"])),
        risk=draw(st.sampled_from(["", *RISKS])),
    )


@st.composite
def devices(draw, at):
    """Strategy for devices: none, one of which nothing is known, and ones that have reported."""
    known = draw(st.sampled_from([NO_DEVICE, ENROLLED, ENROLLED, ENROLLED]))
    if draw(st.booleans()):
        return known
    ages = st.sampled_from([timedelta(), HOUR / 4, HOUR / 2, HOUR])
    ends = st.sampled_from([-HOUR / 2, timedelta(), HOUR / 4, HOUR])
    names = draw(few(["compliant", "firewall", "managed", "patched"]))
    checks = [
        (
            name,
            CheckResult(
                fact=draw(st.sampled_from(Fact)),
                observed_at=at - draw(ages),
                expires_at=at + draw(ends),
                source="self",
            ),
        )
        for name in sorted(names)
    ]
    # Some that are no longer enrolled too, of which a posture is left over.
    enrolled = draw(st.sampled_from([known.enrolled, known.enrolled, Fact.FAILED]))
    return replace(
        known,
        enrolled=enrolled,
        state=draw(st.sampled_from(["", "approved", "pending", "blocked"])),
        owner=draw(st.sampled_from(["", *USERS])),
        managed=draw(st.sampled_from(Fact)),
        checks=tuple(checks),
        os=draw(st.sampled_from(["", "ubuntu", "macos"])),
        os_version=draw(st.sampled_from(["", "24.04", "24.10.1", "14", "14.0", "9", "rolling"])),
        observed_at=draw(st.none() | ages.map(lambda age: at - age)),
        risk=draw(st.sampled_from(["", *RISKS])),
    )


@st.composite
def requests(draw, paths=TARGETS):
    """Strategy for all that a decision rests on."""
    at = WEDNESDAY_MORNING + timedelta(minutes=draw(st.integers(0, 7 * 24 * 60)))
    question = asked(
        draw(st.sampled_from(["GET", "POST", "DELETE", "PUT", "PATCH"])),
        draw(paths),
        who=draw(subjects(at)),
        device=draw(devices(at)),
        come_from=draw(st.sampled_from(["192.0.2.7", "203.0.113.9", "2001:db8::1"])),
        at=at,
    )
    environment = replace(
        question.environment,
        user_agent=draw(st.sampled_from(["", "kubectl/v1.36", "k9s"])),
        reason=draw(st.sampled_from(["", "INC-1"])),
        country=draw(st.sampled_from(["", "DE", "AT"])),
        asn=draw(st.sampled_from([0, 64500, 64502])),
        sign_in_country=draw(st.sampled_from(["", "DE", "AT"])),
        seen_country=draw(st.sampled_from(["", "DE", "AT"])),
    )
    labels = draw(st.none() | few([("env", "prod"), ("team", "a")]).map(lambda f: tuple(sorted(f))))
    return replace(
        question,
        environment=environment,
        namespace_labels=labels if question.request.namespace else None,
        api_object=draw(st.none() | objects),
    )

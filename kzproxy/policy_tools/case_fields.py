"""The facts of a test case: what may be written, and what it comes to.

A fixture and a case have the same fields. What is not written is not known, as it would be to
kzproxy: a case without ``device`` has no device.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from ipaddress import IPv6Address, ip_address

from kzproxy.attributes.api_object import ApiObject, Labels
from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import DevicePosture
from kzproxy.attributes.environment import Environment, IPAddress
from kzproxy.attributes.identity import (
    SESSION_METHOD,
    SPIFFE_ID_EXTRA,
    ExtraValues,
    Identity,
)
from kzproxy.config.document import Node
from kzproxy.policy.device_features import RISKS
from kzproxy.policy.location import COUNTRY, MAX_ASN
from kzproxy.policy_tools.case_request import read_request
from kzproxy.policy_tools.told_device import THUMBPRINT, ToldDevice, posture_of
from kzproxy.policy_tools.told_time import duration_in, instant_in

MAPPINGS = {
    "user": ("name", "groups", "uid", "extra", "issuer", "spiffeID"),
    "authentication": ("age", "class", "methods", "bound"),
    "session": ("age", "mode", "risk", "signedInFrom", "signInCountry"),
    "device": (
        *("enrolled", "id", "managed", "state", "owner", "passed", "failed", "postureAge"),
        *("os", "osVersion", "risk"),
    ),
    "object": (
        "labels",
        "privileged",
        "hostNamespaces",
        "serviceAccount",
        "images",
        "isPatch",
    ),
    "request": (
        *("verb", "apiGroup", "apiVersion", "resource", "namespace", "name"),
        *("fieldSelector", "labelSelector", "dryRun", "command", "container"),
        *("method", "path"),
    ),
}
VALUES = ("at", "from", "country", "asn", "userAgent", "reason", "namespaceLabels")
FIELDS = (*MAPPINGS, *VALUES)

_ANY_ADDRESS = ip_address("192.0.2.1")
_SIGNED_IN_FOR = timedelta(hours=1)

Facts = dict[str, "Node | dict[str, Node]"]


def facts_of(fields: dict[str, Node]) -> Facts:
    """Return the facts among ``fields``, those that have fields of their own taken apart."""
    return {
        name: node.mapping(optional=MAPPINGS[name]) if name in MAPPINGS else node
        for name, node in fields.items()
        if name in FIELDS
    }


def merged(layers: Sequence[Facts]) -> Facts:
    """Lay facts over one another: a later one takes the place of an earlier one, by field."""
    result: Facts = {}
    for layer in layers:
        for name, value in layer.items():
            below = result.get(name)
            if isinstance(value, dict) and isinstance(below, dict):
                result[name] = below | value
            else:
                result[name] = value
    return result


def read_attributes(facts: Facts, where: Node) -> Attributes | None:
    """Make the attributes of a case; None where a mistake was recorded.

    Args:
        facts: All of them, laid over one another.
        where: The place of mistakes about what is not there.
    """
    at = _instant(facts, where)
    request = read_request(_mapping(facts, "request"), where)
    user = _mapping(facts, "user")
    if "name" not in user:
        where.mistake("user: {name: ...} must be set, in the case or in a fixture")
    if at is None or request is None or "name" not in user:
        return None
    authentication = _mapping(facts, "authentication")
    return Attributes(
        subject=_identity(user, authentication, _mapping(facts, "session"), at),
        device=_device(_mapping(facts, "device"), at),
        request=request,
        environment=Environment(
            received_at=at,
            source_address=_address(facts),
            country=_country(facts.get("country")),
            sign_in_country=_country(_mapping(facts, "session").get("signInCountry")),
            asn=_asn(facts),
            user_agent=_text(facts, "userAgent"),
            reason=_text(facts, "reason"),
        ),
        namespace_labels=_namespace_labels(facts),
        api_object=_object(_mapping(facts, "object")) if "object" in facts else None,
    )


def duration_of(node: Node) -> timedelta:
    """Read ``90s``, ``15m``, ``8h`` or ``30d``."""
    text = node.string()
    try:
        return duration_in(text) if text else timedelta()
    except ValueError as error:
        node.mistake(str(error))
        return timedelta()


def instant_of(node: Node) -> datetime | None:
    """Read a time with its offset; one without has two readings."""
    text = node.string()
    try:
        return instant_in(text).astimezone(UTC) if text else None
    except ValueError as error:
        node.mistake(str(error))
        return None


def _mapping(facts: Facts, name: str) -> dict[str, Node]:
    value = facts.get(name, {})
    return value if isinstance(value, dict) else {}


def _text(facts: Facts, name: str) -> str:
    value = facts.get(name)
    return value.string() if isinstance(value, Node) else ""


def _instant(facts: Facts, where: Node) -> datetime | None:
    value = facts.get("at")
    if isinstance(value, Node):
        return instant_of(value)
    where.mistake("at must be set, in the case, in a fixture or for the whole file")
    return None


def _address(facts: Mapping[str, object], name: str = "from") -> IPAddress:
    value = facts.get(name)
    text = value.string() if isinstance(value, Node) else ""
    if not isinstance(value, Node) or not text:
        return _ANY_ADDRESS
    try:
        address = ip_address(text)
    except ValueError:
        value.mistake(f"{text} is no IP address")
        return _ANY_ADDRESS
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address


def _country(value: object) -> str:
    text = value.string() if isinstance(value, Node) else ""
    if isinstance(value, Node) and text and not COUNTRY.fullmatch(text):
        value.mistake(f"{text} is no ISO 3166-1 code of two capital letters, such as DE")
    return text


def _asn(facts: Facts) -> int:
    value = facts.get("asn")
    return value.integer(1, MAX_ASN) if isinstance(value, Node) else 0


def _identity(
    user: dict[str, Node],
    authentication: dict[str, Node],
    session: dict[str, Node],
    at: datetime,
) -> Identity:
    def text(name: str) -> str:
        return user[name].string() if name in user else ""

    age = authentication.get("age")
    session_age = session.get("age")
    is_bound = "bound" in authentication and authentication["bound"].boolean()
    methods = authentication.get("methods")
    is_kept = "mode" in session and bool(session["mode"].choice(["session"]))
    began = at - duration_of(session_age) if session_age is not None else None
    return Identity(
        username=text("name"),
        groups=user["groups"].strings() if "groups" in user else (),
        uid=text("uid"),
        extra=_extra(user),
        method=SESSION_METHOD if is_kept else "oidc",
        issuer=text("issuer") or "https://issuer.example",
        subject=text("name"),
        sign_in="case",
        expires_at=at + _SIGNED_IN_FOR,
        confirmation=THUMBPRINT if is_bound else "",
        authenticated_at=at - duration_of(age) if age is not None else None,
        authentication_class=authentication["class"].string() if "class" in authentication else "",
        authentication_methods=methods.strings() if methods is not None else (),
        issued_at=began,
        session_began_at=(began or at) if is_kept else None,
        signed_in_from=str(_address(session, "signedInFrom")) if "signedInFrom" in session else "",
        risk=session["risk"].choice(RISKS) if "risk" in session else "",
    )


def _extra(user: dict[str, Node]) -> ExtraValues:
    extra: dict[str, tuple[str, ...]] = {}
    if "extra" in user:
        extra = {key.string(): value.strings() for key, value in user["extra"].entries()}
    if "spiffeID" in user:
        extra[SPIFFE_ID_EXTRA] = (user["spiffeID"].string(),)
    return tuple(sorted(extra.items()))


def _device(fields: dict[str, Node], at: datetime) -> DevicePosture:
    if "enrolled" not in fields:
        for name in fields:
            fields[name].mistake(f"only a device that is enrolled has {name}; write enrolled: true")
        return posture_of(ToldDevice(), at)

    def text(name: str) -> str:
        return fields[name].string() if name in fields else ""

    def texts(name: str) -> tuple[str, ...]:
        return fields[name].strings() if name in fields else ()

    told = ToldDevice(
        enrolled=fields["enrolled"].boolean(),
        id=text("id"),
        managed=fields["managed"].boolean() if "managed" in fields else None,
        state=text("state"),
        owner=text("owner"),
        passed=texts("passed"),
        failed=texts("failed"),
        posture_age=duration_of(fields["postureAge"]) if "postureAge" in fields else None,
        os=text("os"),
        os_version=text("osVersion"),
        risk=fields["risk"].choice(RISKS) if "risk" in fields else "",
    )
    for name in {*told.passed} & {*told.failed}:
        fields["failed"].mistake(f"{name} cannot have passed and failed")
    return posture_of(told, at)


def _namespace_labels(facts: Facts) -> Labels | None:
    value = facts.get("namespaceLabels")
    return _labels(value) if isinstance(value, Node) else None


def _labels(node: Node) -> Labels:
    return tuple(sorted((k.string(), v.string(may_be_empty=True)) for k, v in node.entries()))


def _object(fields: dict[str, Node]) -> ApiObject:
    def truth(name: str) -> bool:
        return name in fields and fields[name].boolean()

    return ApiObject(
        labels=_labels(fields["labels"]) if "labels" in fields else (),
        service_account=fields["serviceAccount"].string() if "serviceAccount" in fields else "",
        privileged=truth("privileged"),
        host_namespaces=truth("hostNamespaces"),
        images=fields["images"].strings() if "images" in fields else (),
        is_patch=truth("isPatch"),
    )

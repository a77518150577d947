"""A question put by an operator, as the attributes that a request would have."""

import re
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import msgspec

from kzproxy.attributes.api_object import Labels
from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.environment import Environment
from kzproxy.attributes.identity import SESSION_METHOD, SPIFFE_ID_EXTRA, Identity
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.policy.location import COUNTRY
from kzproxy.policy.vocabulary import RESOURCE_VERBS
from kzproxy.policy_tools.asked_object import asked_object
from kzproxy.policy_tools.case_request import resource_target
from kzproxy.policy_tools.told_device import THUMBPRINT, ToldDevice, posture_of
from kzproxy.policy_tools.told_time import duration_in

_RESOURCE = re.compile(r"(?P<plural>[^./]+)(\.(?P<group>[^/]+))?(/(?P<subresource>.+))?")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks what, from where and when; an empty text is not known.

    Attributes:
        namespace_labels: None where nothing is known of them.
        manifest: Of the object, as JSON would hold it; None where it is not known.
    """

    verb: str
    resource: str
    name: str = ""
    namespace: str = ""
    api_version: str = "v1"
    field_selector: str = ""
    label_selector: str = ""
    dry_run: bool = False
    command: tuple[str, ...] = ()
    container: str = ""
    user: str
    groups: tuple[str, ...] = ()
    uid: str = ""
    extra: Labels = ()
    issuer: str = ""
    spiffe_id: str = ""
    signed_in: str = ""
    session_age: str = ""
    session_kept: bool = False
    session_risk: str = ""
    authentication_class: str = ""
    methods: tuple[str, ...] = ()
    bound: bool = False
    device_enrolled: bool = False
    device_id: str = ""
    device_managed: bool = False
    device_state: str = ""
    device_owner: str = ""
    device_passed: tuple[str, ...] = ()
    device_failed: tuple[str, ...] = ()
    posture_age: str = ""
    os: str = ""
    os_version: str = ""
    device_risk: str = ""
    signed_in_from: str = ""
    sign_in_country: str = ""
    source: str
    country: str = ""
    asn: int = 0
    at: datetime
    user_agent: str = ""
    reason: str = ""
    namespace_labels: Labels | None = None
    manifest: object = None


def attributes_of(asked: Asked) -> Attributes:
    """Make the attributes.

    Raises:
        ValueError: Something is written wrongly, or nobody can send it.
        BadRequest: Nobody can send it.
    """
    at = asked.at.astimezone(UTC)
    request = request_of(
        asked.verb,
        asked.resource,
        asked.namespace,
        asked.name,
        api_version=asked.api_version,
        query=_query(asked),
    )
    for country in (asked.country, asked.sign_in_country):
        if country and not COUNTRY.fullmatch(country):
            raise ValueError(f"{country} is no ISO 3166-1 code of two capital letters, such as DE")
    if (asked.signed_in_from or asked.sign_in_country) and not asked.session_kept:
        raise ValueError("only of a session that kzproxy keeps this is known; add --session")
    return Attributes(
        subject=_identity(asked, at),
        device=posture_of(_device(asked), at),
        request=request,
        environment=Environment(
            received_at=at,
            source_address=ip_address(asked.source),
            country=asked.country,
            asn=asked.asn,
            sign_in_country=asked.sign_in_country,
            user_agent=asked.user_agent,
            reason=asked.reason,
        ),
        namespace_labels=asked.namespace_labels,
        api_object=asked_object(request, asked.manifest),
    )


def _identity(asked: Asked, at: datetime) -> Identity:
    signed_in = at - duration_in(asked.signed_in) if asked.signed_in else None
    issued = at - duration_in(asked.session_age) if asked.session_age else signed_in
    extra: dict[str, tuple[str, ...]] = {}
    for key, value in asked.extra:
        extra[key] = (*extra.get(key, ()), value)
    if asked.spiffe_id:
        extra[SPIFFE_ID_EXTRA] = (asked.spiffe_id,)
    return Identity(
        username=asked.user,
        groups=asked.groups,
        uid=asked.uid,
        extra=tuple(sorted(extra.items())),
        method=SESSION_METHOD if asked.session_kept else "oidc",
        issuer=asked.issuer or "https://issuer.example",
        subject=asked.user,
        expires_at=at + timedelta(hours=1),
        confirmation=THUMBPRINT if asked.bound else "",
        authenticated_at=signed_in,
        authentication_class=asked.authentication_class,
        authentication_methods=asked.methods,
        issued_at=issued,
        session_began_at=(issued or at) if asked.session_kept else None,
        signed_in_from=str(ip_address(asked.signed_in_from)) if asked.signed_in_from else "",
        risk=asked.session_risk,
    )


def _device(asked: Asked) -> ToldDevice:
    told = ToldDevice(
        enrolled=True if asked.device_enrolled else None,
        id=asked.device_id,
        managed=True if asked.device_managed else None,
        state=asked.device_state,
        owner=asked.device_owner,
        passed=asked.device_passed,
        failed=asked.device_failed,
        posture_age=duration_in(asked.posture_age) if asked.posture_age else None,
        os=asked.os,
        os_version=asked.os_version,
        risk=asked.device_risk,
    )
    if not asked.device_enrolled and told != ToldDevice():
        raise ValueError("nothing is known of a device that is not enrolled; add --device-enrolled")
    if both := {*told.passed} & {*told.failed}:
        raise ValueError(f"{', '.join(sorted(both))} cannot have passed and failed")
    return told


def _query(asked: Asked) -> tuple[tuple[str, str], ...]:
    pairs = [
        ("fieldSelector", asked.field_selector),
        ("labelSelector", asked.label_selector),
        ("container", asked.container),
        ("dryRun", "All" if asked.dry_run else ""),
        *(("command", word) for word in asked.command),
    ]
    return tuple((name, value) for name, value in pairs if value)


def split_resource(resource: str) -> tuple[str, str]:
    """Split ``deployments.apps/scale`` into ``deployments/scale`` and ``apps``."""
    found = _RESOURCE.fullmatch(resource)
    if found is None:
        raise ValueError(f"{resource} is no resource, such as pods, pods/log or deployments.apps")
    subresource = f"/{found['subresource']}" if found["subresource"] else ""
    return found["plural"] + subresource, found["group"] or ""


def request_of(
    verb: str,
    resource: str,
    namespace: str,
    name: str,
    *,
    api_version: str = "v1",
    query: tuple[tuple[str, str], ...] = (),
) -> RequestInfo:
    """Return the request for ``verb`` on ``resource``, which may be a URL path.

    Raises:
        ValueError: There is no such request.
        BadRequest: Likewise.
    """
    if resource.startswith("/"):
        if query:
            names = ", ".join(sorted({key for key, _ in query}))
            raise ValueError(f"{names} goes with a resource, not with a path")
        return RequestInfo.parse(verb.upper(), resource)
    if verb not in RESOURCE_VERBS:
        raise ValueError(f"{verb} is no verb of a resource: {', '.join(RESOURCE_VERBS)}")
    kind, group = split_resource(resource)
    method, target = resource_target(
        verb,
        kind,
        group_version=(group, api_version),
        namespace=namespace,
        name=name,
        query=query,
    )
    request = RequestInfo.parse(method, target)
    if request.verb != verb:
        named = "" if name else "; give the name of one"
        raise ValueError(f"such a request has the verb {request.verb}, not {verb}{named}")
    return request

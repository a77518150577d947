"""A question put by an operator, as the attributes that a request would have."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import NO_DEVICE, DevicePosture, Fact
from kzproxy.attributes.environment import Environment
from kzproxy.attributes.identity import SPIFFE_ID_EXTRA, Identity
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.policy.vocabulary import RESOURCE_VERBS
from kzproxy.policy_tools.case_fields import duration_in
from kzproxy.policy_tools.case_request import resource_target

_RESOURCE = re.compile(r"(?P<plural>[^./]+)(\.(?P<group>[^/]+))?(/(?P<subresource>.+))?")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Who asks what, from where and when; an empty text is not known."""

    verb: str
    resource: str
    name: str
    namespace: str
    user: str
    groups: tuple[str, ...]
    spiffe_id: str
    signed_in: str
    authentication_class: str
    methods: tuple[str, ...]
    device_enrolled: bool
    source: str
    at: datetime
    reason: str


def attributes_of(asked: Asked) -> Attributes:
    """Make the attributes.

    Raises:
        ValueError: Something is written wrongly, or nobody can send it.
        BadRequest: Nobody can send it.
    """
    at = asked.at.astimezone(UTC)
    age = duration_in(asked.signed_in) if asked.signed_in else None
    since = at - age if age is not None else None
    device = DevicePosture(enrolled=Fact.PASSED, device_id="device", thumbprint="00" * 32)
    return Attributes(
        subject=Identity(
            username=asked.user,
            groups=asked.groups,
            extra=((SPIFFE_ID_EXTRA, (asked.spiffe_id,)),) if asked.spiffe_id else (),
            method="oidc",
            issuer="https://issuer.example",
            subject=asked.user,
            expires_at=at + timedelta(hours=1),
            authenticated_at=since,
            authentication_class=asked.authentication_class,
            authentication_methods=asked.methods,
            issued_at=since,
        ),
        device=device if asked.device_enrolled else NO_DEVICE,
        request=request_of(asked.verb, asked.resource, asked.namespace, asked.name),
        environment=Environment(
            received_at=at, source_address=ip_address(asked.source), reason=asked.reason
        ),
    )


def split_resource(resource: str) -> tuple[str, str]:
    """Split ``deployments.apps/scale`` into ``deployments/scale`` and ``apps``."""
    found = _RESOURCE.fullmatch(resource)
    if found is None:
        raise ValueError(f"{resource} is no resource, such as pods, pods/log or deployments.apps")
    subresource = f"/{found['subresource']}" if found["subresource"] else ""
    return found["plural"] + subresource, found["group"] or ""


def request_of(verb: str, resource: str, namespace: str, name: str) -> RequestInfo:
    """Return the request for ``verb`` on ``resource``, which may be a URL path.

    Raises:
        ValueError: There is no such request.
        BadRequest: Likewise.
    """
    if resource.startswith("/"):
        return RequestInfo.parse(verb.upper(), resource)
    if verb not in RESOURCE_VERBS:
        raise ValueError(f"{verb} is no verb of a resource: {', '.join(RESOURCE_VERBS)}")
    kind, group = split_resource(resource)
    method, target = resource_target(
        verb, kind, group_version=(group, "v1"), namespace=namespace, name=name
    )
    request = RequestInfo.parse(method, target)
    if request.verb != verb:
        named = "" if name else "; give the name of one"
        raise ValueError(f"such a request has the verb {request.verb}, not {verb}{named}")
    return request

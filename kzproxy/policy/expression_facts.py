"""From the attributes of a request to the values that expressions read."""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta

import msgspec

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import Fact
from kzproxy.attributes.spiffe import Workload, workload_of
from kzproxy.expressions.language import Facts, Value
from kzproxy.policy.device_features import RISKS
from kzproxy.policy.expression import LANGUAGE
from kzproxy.policy.posture_facts import (
    failed,
    is_managed,
    is_shown,
    passed,
    posture_age,
    unknown,
)
from kzproxy.policy.session_conditions import session_start
from kzproxy.policy.session_place import address_changed, country_changed


class Circumstances(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules of a policy make of a request, asked for only where an expression reads it.

    Attributes:
        tier: The level of the highest tier whose condition holds.
        networks: The names of the networks that hold the source address.
        calendars: The names of the calendars that are open.
        conditions: The named conditions; those of which nobody can tell are left out.
    """

    tier: Callable[[], int]
    networks: Callable[[], Iterable[str]]
    calendars: Callable[[], Iterable[str]]
    conditions: Callable[[], Mapping[str, bool]]


def facts_of(attributes: Attributes, circumstances: Circumstances) -> Facts:
    """Return the values for one request; nothing is computed before it is read."""

    def lookup(name: str) -> Value | None:
        of_policy = _OF_POLICY.get(name)
        if of_policy is not None:
            return of_policy(circumstances)
        return _OF_REQUEST[name](attributes)

    return Facts(LANGUAGE, lookup)


_OF_POLICY: dict[str, Callable[[Circumstances], Value | None]] = {
    "device.tier": lambda c: c.tier(),
    "source.networks": lambda c: list(c.networks()),
    "time.calendars": lambda c: list(c.calendars()),
    "conditions": lambda c: dict(c.conditions()),
}


def _enrolled(attributes: Attributes) -> bool | None:
    enrolled = attributes.device.enrolled
    return None if enrolled is Fact.UNKNOWN else enrolled is Fact.PASSED


def _authentication_age(attributes: Attributes) -> timedelta | None:
    since = attributes.subject.authenticated_at
    return None if since is None else attributes.environment.received_at - since


def _session_age(attributes: Attributes) -> timedelta | None:
    since = session_start(attributes)
    return None if since is None else attributes.environment.received_at - since


def _of_device(name: str) -> Callable[[Attributes], Value | None]:
    """Give a text that is known only of a device that is shown."""

    def value(attributes: Attributes) -> Value | None:
        device = attributes.device
        return getattr(device, name) or None if is_shown(device) else None

    return value


def _device_risk(attributes: Attributes) -> str | None:
    device = attributes.device
    return device.risk if is_shown(device) and device.risk in RISKS else None


def _session_risk(attributes: Attributes) -> str | None:
    risk = attributes.subject.risk
    return risk if risk in RISKS else None


def _labels(attributes: Attributes) -> dict[str, str] | None:
    labels = attributes.namespace_labels
    return None if labels is None else dict(labels)


def _object(read: Callable[..., Value]) -> Callable[[Attributes], Value | None]:
    """Give a fact of the object; of a patch alone nobody can tell what will be."""

    def value(attributes: Attributes) -> Value | None:
        found = attributes.api_object
        return None if found is None or found.is_patch else read(found)

    return value


def _workload(read: Callable[[Workload], str]) -> Callable[[Attributes], Value | None]:
    return lambda attributes: read(workload_of(attributes.subject))


_OF_REQUEST: dict[str, Callable[[Attributes], Value | None]] = {
    "user.name": lambda a: a.subject.username,
    "user.groups": lambda a: list(a.subject.groups),
    "user.uid": lambda a: a.subject.uid,
    "user.extra": lambda a: {key: list(values) for key, values in a.subject.extra},
    "user.issuer": lambda a: a.subject.issuer,
    "authentication.known": lambda a: a.subject.authenticated_at is not None,
    "authentication.age": _authentication_age,
    "authentication.acr": lambda a: a.subject.authentication_class or None,
    "authentication.amr": lambda a: list(a.subject.authentication_methods) or None,
    "session.age": _session_age,
    "session.mode": lambda a: "session" if a.subject.is_session else "direct",
    "session.bound": lambda a: bool(a.subject.confirmation),
    "session.risk": _session_risk,
    "session.riskKnown": lambda a: _session_risk(a) is not None,
    "session.addressChanged": address_changed,
    "session.countryChanged": country_changed,
    "device.enrolled": _enrolled,
    "device.id": lambda a: a.device.device_id,
    "device.state": _of_device("state"),
    "device.owner": _of_device("owner"),
    "device.managed": is_managed,
    "device.passed": passed,
    "device.failed": failed,
    "device.unknown": unknown,
    "device.postureAge": posture_age,
    "device.os": _of_device("os"),
    "device.osVersion": _of_device("os_version"),
    "device.risk": _device_risk,
    "device.riskKnown": lambda a: _device_risk(a) is not None,
    "source.ip": lambda a: str(a.environment.source_address),
    "source.country": lambda a: a.environment.country or None,
    "source.asn": lambda a: a.environment.asn or None,
    "source.geoKnown": lambda a: bool(a.environment.country),
    "time.now": lambda a: a.environment.received_at,
    "workload.spiffe_id": _workload(lambda w: w.spiffe_id),
    "workload.trust_domain": _workload(lambda w: w.trust_domain),
    "workload.namespace": _workload(lambda w: w.namespace),
    "workload.service_account": _workload(lambda w: w.service_account),
    "request.verb": lambda a: a.request.verb,
    "request.group": lambda a: a.request.api_group,
    "request.version": lambda a: a.request.api_version,
    "request.resource": lambda a: a.request.resource,
    "request.subresource": lambda a: a.request.subresource,
    "request.namespace": lambda a: a.request.namespace,
    "request.name": lambda a: a.request.name,
    "request.path": lambda a: a.request.path,
    "request.is_resource": lambda a: a.request.is_resource,
    "request.dry_run": lambda a: a.request.is_dry_run,
    "request.field_selector": lambda a: a.request.field_selector,
    "request.label_selector": lambda a: a.request.label_selector,
    "request.user_agent": lambda a: a.environment.user_agent,
    "request.command": lambda a: list(a.request.command),
    "request.container": lambda a: a.request.container,
    "request.reason": lambda a: a.environment.reason,
    "request.namespace_known": lambda a: a.namespace_labels is not None,
    "request.namespace_labels": _labels,
    "object.labels": _object(lambda o: dict(o.labels)),
    "object.privileged": _object(lambda o: o.privileged),
    "object.host_namespaces": _object(lambda o: o.host_namespaces),
    "object.service_account": _object(lambda o: o.service_account),
    "object.images": _object(lambda o: list(o.images)),
}

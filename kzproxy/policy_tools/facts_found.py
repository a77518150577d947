"""What a request has, in the words of the conditions that ask for it."""

from datetime import datetime
from ipaddress import ip_address, ip_network

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import Fact
from kzproxy.policy_tools.policy_text import PolicyText


def found(condition: str, text: PolicyText, attributes: Attributes) -> str:
    """Return the facts that ``condition`` looks at; empty where there is nothing to show."""
    reader = {
        "networks": _networks,
        "time": _time,
        "device": _device,
        "authentication": _authentication,
        "session": _session,
        "workload": _workload,
        "request": _request,
    }.get(condition)
    return reader(text, attributes) if reader is not None else ""


def networks_of(text: PolicyText, attributes: Attributes) -> list[str]:
    """Return the names of the networks that the request comes from."""
    address = ip_address(str(attributes.environment.source_address))
    return [
        definition.name
        for definition in text.definitions
        if definition.section == "networks" and isinstance(definition.value, list)
        if any(address in ip_network(str(block)) for block in definition.value)
    ]


def _networks(text: PolicyText, attributes: Attributes) -> str:
    names = ", ".join(networks_of(text, attributes))
    return f"{attributes.environment.source_address}, in {names or 'none of the networks'}"


def _time(_: PolicyText, attributes: Attributes) -> str:
    return attributes.environment.received_at.strftime("%a %Y-%m-%d %H:%M %Z")


def _device(_: PolicyText, attributes: Attributes) -> str:
    device = attributes.device
    if device.enrolled is Fact.PASSED:
        return f"enrolled as {device.device_id}"
    return f"enrolment {device.enrolled.value}: {device.reason}"


def _authentication(_: PolicyText, attributes: Attributes) -> str:
    subject = attributes.subject
    methods = ", ".join(subject.authentication_methods) or "unknown"
    age = _age(subject.authenticated_at, attributes.environment.received_at)
    return (
        f"signed in {age}, class {subject.authentication_class or 'unknown'}, methods {methods},"
        f" at {subject.issuer}"
    )


def _session(_: PolicyText, attributes: Attributes) -> str:
    at = attributes.environment.received_at
    subject = attributes.subject
    return f"signed in {_age(subject.authenticated_at, at)}, token {_age(subject.issued_at, at)}"


def _workload(_: PolicyText, attributes: Attributes) -> str:
    return attributes.subject.spiffe_id or f"{attributes.subject.username}, no SPIFFE ID"


def _request(_: PolicyText, attributes: Attributes) -> str:
    request = attributes.request
    facts = {
        "user agent": attributes.environment.user_agent,
        "command": " ".join(request.command),
        "container": request.container,
        "dry run": "yes" if request.is_dry_run else "no",
    }
    return ", ".join(f"{name} {value}" for name, value in facts.items() if value)


def _age(since: datetime | None, at: datetime) -> str:
    return "nobody knows when" if since is None else f"{at - since} ago"

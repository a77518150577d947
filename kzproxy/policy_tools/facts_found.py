"""What a request has, in the words of the conditions that ask for it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from ipaddress import ip_address, ip_network

from kzproxy.attributes.attributes import Attributes
from kzproxy.policy.view import RequestView
from kzproxy.policy_tools.device_found import device_found
from kzproxy.policy_tools.policy_text import PolicyText

_MOST_IMAGES = 5


def found(condition: str, text: PolicyText, view: RequestView, wanted: object) -> str:
    """Return the facts that ``condition`` looks at; empty where there is nothing to show.

    ``wanted`` is what is written in it.
    """
    if condition in ("all", "any", "none"):
        return _named(view, wanted)
    if condition == "device":
        tier = f"tier {view.tier}; " if _names_a_tier(wanted) else ""
        return tier + device_found(view.attributes, wanted)
    reader = {
        "networks": _networks,
        "countries": _country,
        "asns": _system,
        "time": _time,
        "authentication": _authentication,
        "session": _session,
        "workload": _workload,
        "request": _request,
        "object": _object,
    }.get(condition)
    return reader(text, view.attributes) if reader is not None else ""


def _names_a_tier(wanted: object) -> bool:
    return isinstance(wanted, Mapping) and not {"tier", "belowTier"}.isdisjoint(wanted)


def _named(view: RequestView, wanted: object) -> str:
    words = {True: "holds", False: "does not hold", None: "cannot be told"}
    names = wanted if isinstance(wanted, list) else []
    return ", ".join(f"{name} {words[_value(view, str(name))]}" for name in names)


def _value(view: RequestView, name: str) -> bool | None:
    try:
        return view.named(name)
    except Exception:  # noqa: BLE001 - the part says what is wrong with it
        return None


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


def _country(_: PolicyText, attributes: Attributes) -> str:
    environment = attributes.environment
    return f"{environment.source_address}, {environment.country or 'of no known country'}"


def _system(_: PolicyText, attributes: Attributes) -> str:
    environment = attributes.environment
    return f"{environment.source_address}, {environment.asn or 'of no known autonomous system'}"


def _time(_: PolicyText, attributes: Attributes) -> str:
    return attributes.environment.received_at.strftime("%a %Y-%m-%d %H:%M %Z")


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
    if subject.is_session:
        place = subject.signed_in_from or "nobody knows where"
        last = f", last seen at {subject.seen_from}" if subject.seen_from else ""
        return (
            f"began {_age(subject.session_began_at, at)} at {place}{last},"
            f" risk {subject.risk or 'unknown'}"
        )
    return (
        f"signed in {_age(subject.authenticated_at, at)}, token {_age(subject.issued_at, at)},"
        " no session that kzproxy keeps"
    )


def _workload(_: PolicyText, attributes: Attributes) -> str:
    return attributes.subject.spiffe_id or f"{attributes.subject.username}, no SPIFFE ID"


def _request(_: PolicyText, attributes: Attributes) -> str:
    request = attributes.request
    facts = {
        "user agent": attributes.environment.user_agent or "unknown",
        "command": _command(request.command),
        "container": request.container or "none named",
        "dry run": "yes" if request.is_dry_run else "no",
    }
    return ", ".join(f"{name} {value}" for name, value in facts.items() if value)


def _command(words: Sequence[str]) -> str:
    """Return the program alone: what it is told may be a secret."""
    if len(words) < 2:
        return " ".join(words)
    return f"{words[0]} (and {len(words) - 1} more words, which may hold a secret)"


def _object(_: PolicyText, attributes: Attributes) -> str:
    known = attributes.api_object
    if known is None:
        return "the object is not known"
    if known.is_patch:
        return "a patch, of which nobody can tell what it makes"
    images = list(known.images[:_MOST_IMAGES])
    if len(known.images) > _MOST_IMAGES:
        images.append(f"{len(known.images) - _MOST_IMAGES} more")
    facts = {
        "privileged": "yes" if known.privileged else "no",
        "host namespaces": "yes" if known.host_namespaces else "no",
        "service account": known.service_account or "none",
        "images": " and ".join(images) or "none",
        "labels": ",".join(f"{key}={value}" for key, value in known.labels) or "none",
    }
    return ", ".join(f"{name} {value}" for name, value in facts.items())


def _age(since: datetime | None, at: datetime) -> str:
    return "nobody knows when" if since is None else f"{at - since} ago"

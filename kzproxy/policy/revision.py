"""The content hash that says which policy judged.

Two files that differ in comments, order of a list, repetition in it or spelling of YAML have one
revision; any
difference that can be seen in a decision or its rule gives another. Of rules the order counts, for
the first that matches is the one that is named; but only among those of one effect, because all
deny rules are asked before any allow rule.
"""

import hashlib
import json
from datetime import datetime, timedelta
from enum import Enum
from ipaddress import IPv4Network, IPv6Network

import msgspec

from kzproxy.policy.rules import NO_CONDITIONS, AccessPolicySet

_REVISION_HEX_DIGITS = 32
# Made from what stands beside them.
_DERIVED = frozenset({"zone", "include"})
# What came to the language later is left out where it says nothing, so that the revision of a
# policy that does not use it outlives the upgrade.
_ADDED = {
    name: getattr(NO_CONDITIONS, name)
    for name in (
        "device",
        "session_kept",
        "session_max_risk",
        "countries",
        "asns",
        "session_same_address",
        "session_same_country",
    )
}
# One of them is enough, all of them must be, or none of them may: their order says nothing.
_UNORDERED = frozenset(
    {"namespaces", "names", "blocks", "weekly", "dated", "exceptions", "networks", "calendars"}
    | {"match", "spiffe_ids", "time", "workloads", "all_of", "any_of", "none_of", "conditions"}
    | {
        "user_agents",
        "commands",
        "containers",
        "service_accounts",
        "images",
        "requirements",
        "platforms",
    }
)


def policy_revision(policies: AccessPolicySet) -> str:
    """Return 128 bits of the SHA-256 of the canonical policy, as lower-case hex."""
    canonical = json.dumps(_canonical(policies), sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:_REVISION_HEX_DIGITS]


def _canonical(value: object) -> object:
    if isinstance(value, msgspec.Struct):
        return {
            name: _field(name, said)
            for name in value.__struct_fields__
            if name not in _DERIVED and not _is_unsaid(name, said := getattr(value, name))
        }
    if isinstance(value, frozenset):
        return _sorted(value)
    if isinstance(value, tuple):
        return [_canonical(each) for each in value]
    return _scalar(value)


def _is_unsaid(name: str, value: object) -> bool:
    return name in _ADDED and value == _ADDED[name]


def _scalar(value: object) -> object:
    match value:
        case Enum():
            return value.value
        case None | bool() | int() | str():
            return value
        case timedelta():
            return value.total_seconds()
        case datetime() | IPv4Network() | IPv6Network():
            return str(value)
        case _:
            return _expression(value)


def _field(name: str, value: object) -> object:
    if name == "rules" and isinstance(value, tuple):
        value = tuple(sorted(value, key=lambda rule: str(rule.effect)))
    return _sorted(value) if name in _UNORDERED and isinstance(value, tuple) else _canonical(value)


def _sorted(values: tuple[object, ...] | frozenset[object]) -> list[object]:
    found = {json.dumps(each): each for each in map(_canonical, values)}
    return [found[text] for text in sorted(found)]


def _expression(value: object) -> object:
    text = getattr(value, "text", None)
    if not isinstance(text, str):
        raise TypeError(f"a policy holds a {type(value).__name__}, which has no canonical form")
    return {"cel": text}

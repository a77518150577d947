"""What is known of a device, in the words of the conditions that ask for it."""

from collections.abc import Callable, Mapping
from datetime import timedelta

from kzproxy.attributes.attributes import Attributes
from kzproxy.policy import posture_facts
from kzproxy.policy.posture_facts import is_managed, is_shown, posture_age
from kzproxy.policy.sign_in import duration_words

_UNKNOWN = "not known"


def device_found(attributes: Attributes, wanted: object) -> str:
    """Return the facts that ``device`` looks at; ``wanted`` is what is written in it."""
    device = attributes.device
    if not is_shown(device):
        return f"enrolment {device.enrolled.value}: {device.reason}"
    asked = wanted if isinstance(wanted, Mapping) else {}
    is_of_tier = not {"tier", "belowTier"}.isdisjoint(asked)
    if is_of_tier:  # What it asks stands elsewhere: all that is known may matter.
        asked = dict.fromkeys(_WORDS, ())
    told = [words(attributes, asked[name]) for name, words in _WORDS.items() if name in asked]
    if is_of_tier:
        told = [each for each in told if each and not each.endswith(_UNKNOWN)]
    return ", ".join([f"enrolled as {device.device_id}", *told])


def _managed(attributes: Attributes, _: object) -> str:
    managed = is_managed(attributes)
    return f"managed {_UNKNOWN if managed is None else 'yes' if managed else 'no'}"


def _checks(attributes: Attributes, wanted: object) -> str:
    names = wanted.get("passed", ()) if isinstance(wanted, Mapping) else ()
    if not isinstance(wanted, Mapping):
        names = [name for name, _ in attributes.device.checks]
    at = attributes.environment.received_at
    results = dict(attributes.device.checks)
    failed = posture_facts.failed(attributes) or ()
    found = []
    for name in map(str, names):
        result = results.get(name)
        word = "failed" if name in failed else "passed"
        if result is None or at >= result.expires_at or name in posture_facts.unknown(attributes):
            found.append(f"{name} {_UNKNOWN}")
        else:
            found.append(f"{name} {word} {_ago(at - result.observed_at)}")
    return ", ".join(found)


def _posture_age(attributes: Attributes, _: object) -> str:
    age = posture_age(attributes)
    return "no report" if age is None else f"reported {_ago(age)}"


def _ago(age: timedelta) -> str:
    return f"{duration_words(age)} ago"


_WORDS: dict[str, Callable[[Attributes, object], str]] = {
    "managed": _managed,
    "state": lambda a, _: f"state {a.device.state or _UNKNOWN}",
    "owner": lambda a, _: f"owner {a.device.owner or _UNKNOWN}",
    "checks": _checks,
    "postureAge": _posture_age,
    "os": lambda a, _: f"{a.device.os} {a.device.os_version}".strip() or f"system {_UNKNOWN}",
    "risk": lambda a, _: f"risk {a.device.risk or _UNKNOWN}",
}

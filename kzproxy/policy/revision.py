"""The content hash that says which policy judged.

Two files that differ in comments, order of a list or spelling of YAML have one revision; any
difference that can be seen in a decision, its rule or its hint gives another.
"""

import hashlib
import json

from kzproxy.policy.rules import AccessPolicySet, Conditions, Match, Rule

_REVISION_HEX_DIGITS = 32


def policy_revision(policies: AccessPolicySet) -> str:
    """Return 128 bits of the SHA-256 of the canonical rules, as lower-case hex."""
    canonical = json.dumps([_rule(rule) for rule in policies.rules], sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()[:_REVISION_HEX_DIGITS]


def _rule(rule: Rule) -> dict[str, object]:
    return {
        "id": rule.id,
        "effect": rule.effect.value,
        "users": sorted(rule.users),
        "groups": sorted(rule.groups),
        "match": [_match(match) for match in rule.match],
        "conditions": _conditions(rule.conditions),
        "message": rule.message,
    }


def _match(match: Match) -> dict[str, object]:
    return {
        "verbs": sorted(match.verbs),
        "apiGroups": sorted(match.api_groups),
        "resources": sorted(match.resources),
        "namespaces": sorted(match.namespaces),
        "names": sorted(match.names),
        "nonResourceURLs": sorted(match.non_resource_urls),
    }


def _conditions(conditions: Conditions) -> dict[str, object]:
    return {
        "networks": {n.name: sorted(str(block) for block in n.blocks) for n in conditions.networks},
        "time": {
            window.name: [
                window.zone_name,
                sorted([sorted(w.days), w.from_minute, w.to_minute] for w in window.windows),
            ]
            for window in conditions.time
        },
        "deviceEnrolled": conditions.device_enrolled,
    }

"""A slow second reading of the policy language, straight from docs/reference/policy.md.

No index, no compiled names, no shared code with the engine but the values: the property tests
hold the engine against it.
"""

import fnmatch

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import Fact
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.policy.rules import Conditions, Effect, Match, Rule

KNOWN_CLUSTER_SCOPED = {("", "nodes")}


def is_permitted(rules: list[Rule], attributes: Attributes) -> bool:
    """Whether an allow rule matches and no deny rule does."""
    matching = [rule for rule in rules if _matches(rule, attributes)]
    effects = {rule.effect for rule in matching}
    return effects == {Effect.ALLOW}


def _matches(rule: Rule, attributes: Attributes) -> bool:
    who = attributes.subject
    groups = {*who.groups, "system:authenticated"}
    is_meant = who.username in rule.users or bool(groups & rule.groups)
    reaches = any(_reaches(match, attributes.request, rule.effect) for match in rule.match)
    return is_meant and reaches and _hold(rule.conditions, attributes, rule.effect)


def _reaches(match: Match, request: RequestInfo, effect: Effect) -> bool:
    if not match.verbs & {request.verb, "*"}:
        return False
    if not request.is_resource:
        return _fits(match.non_resource_urls, request.path)
    if not match.api_groups & {request.api_group, "*"}:
        return False
    if not any(_is_resource(pattern, request, effect) for pattern in match.resources):
        return False
    return _namespace(match, request, effect) and _name(match, request, effect)


def _is_resource(pattern: str, request: RequestInfo, effect: Effect) -> bool:
    asked = request.qualified_resource
    if pattern == asked:
        return True
    if effect is Effect.ALLOW and asked == "nodes/proxy":
        return False
    if pattern in ("*", "*/*"):
        return True
    resource, _, subresource = pattern.partition("/")
    if not request.subresource or not subresource:
        return False
    return resource in ("*", request.resource) and subresource in ("*", request.subresource)


def _namespace(match: Match, request: RequestInfo, effect: Effect) -> bool:
    if not match.namespaces:
        return True
    if request.namespace:
        return _fits(match.namespaces, request.namespace)
    is_clusterwide = (request.api_group, request.resource) in KNOWN_CLUSTER_SCOPED
    asks_for_many = request.verb in ("list", "watch", "deletecollection")
    return effect is Effect.DENY and asks_for_many and not is_clusterwide


def _name(match: Match, request: RequestInfo, effect: Effect) -> bool:
    if not match.names:
        return True
    if request.name:
        return _fits(match.names, request.name)
    return effect is Effect.DENY


def _hold(conditions: Conditions, attributes: Attributes, effect: Effect) -> bool:
    environment = attributes.environment
    if conditions.networks and not any(
        environment.source_address in block for n in conditions.networks for block in n.blocks
    ):
        return False
    if conditions.time and not any(w.is_open(environment.received_at) for w in conditions.time):
        return False
    if conditions.device_enrolled is None:
        return True
    if attributes.device.enrolled is not Fact.PASSED:  # nobody can tell what it is
        return effect is Effect.DENY
    return conditions.device_enrolled


def _fits(patterns: frozenset[str] | tuple[str, ...], text: str) -> bool:
    return any(fnmatch.fnmatchcase(text, pattern) for pattern in patterns)

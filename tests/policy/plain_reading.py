"""A slow second reading of the policy language, straight from docs/reference/policy.md.

No index, no compiled names, no shared code with the engine but the values: the property tests
hold the engine against it. Of expressions in CEL those are read that ``plain_when`` has.
"""

import fnmatch
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from kzproxy.attributes.api_object import Labels
from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import DevicePosture, Fact
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.policy.calendar import Calendar
from kzproxy.policy.device_features import DeviceFeatures, Platform
from kzproxy.policy.expression import Expression
from kzproxy.policy.network import Network
from kzproxy.policy.obligations import Obligations
from kzproxy.policy.rules import (
    Conditions,
    Effect,
    Match,
    NamedCondition,
    ObjectFeatures,
    RequestFeatures,
    Rule,
    SignIn,
    Tier,
)
from kzproxy.policy.selectors import LabelRequirement, LabelSelector, Operator
from tests.policy.plain_when import OF_OBJECTS, READINGS, OfPolicy

KNOWN_CLUSTER_SCOPED = {("", "nodes")}
_MANY = ("list", "watch", "deletecollection")

# Yes, no, or nobody can tell.
Answer = bool | None


@dataclass(frozen=True, slots=True)
class Definitions:
    """What a policy defines."""

    conditions: tuple[NamedCondition, ...] = ()
    tiers: tuple[Tier, ...] = ()
    networks: tuple[Network, ...] = ()
    calendars: tuple[Calendar, ...] = ()


class CannotBeTold(Exception):
    """An expression that needs what nobody knows: whatever asks for it is in error."""


def is_permitted(
    rules: list[Rule], attributes: Attributes, definitions: Definitions | None = None
) -> bool:
    """Whether no deny rule matches, and an allow rule does whose obligations are met."""
    known = definitions or Definitions()
    matching = [rule for rule in rules if _matches(rule, attributes, known)]
    if any(rule.effect is Effect.DENY for rule in matching):
        return False
    return any(_are_met(rule.obligations, attributes) for rule in matching)


def is_denied_by_rule(
    rules: list[Rule], attributes: Attributes, definitions: Definitions | None = None
) -> bool:
    """Whether a deny rule matches."""
    known = definitions or Definitions()
    denies = [rule for rule in rules if rule.effect is Effect.DENY]
    return any(_matches(rule, attributes, known) for rule in denies)


def _matches(rule: Rule, attributes: Attributes, definitions: Definitions) -> bool:
    if not _is_meant(rule, attributes):
        return False
    if not any(_reaches(match, attributes, rule.effect) for match in rule.match):
        return False
    try:
        return _is_met(rule, attributes, definitions)
    except CannotBeTold:
        return rule.effect is Effect.DENY


def _is_met(rule: Rule, attributes: Attributes, definitions: Definitions) -> bool:
    """Whether all conditions hold; the object is looked at only where all others do."""

    def suffices(answer: Answer) -> bool:
        # What nobody can tell lets nobody in and spares nobody; nor does an object not known.
        return (rule.effect is Effect.DENY) if answer is None else answer

    asked = _asks(rule, attributes, definitions)
    plain = [ask() for name, ask in asked.items() if name not in _of_object(rule, definitions)]
    if not suffices(_every(plain)):
        return False
    rest = {name: ask for name, ask in asked.items() if name in _of_object(rule, definitions)}
    facts = attributes.api_object
    if rest and rule.patches_allowed and facts is not None and facts.is_patch:
        if rule.effect is Effect.DENY:
            return False
        return all(ask() for name, ask in rest.items() if name != "object")
    return all(suffices(ask()) for ask in rest.values())


def _asks(
    rule: Rule, attributes: Attributes, definitions: Definitions
) -> dict[str, Callable[[], Answer]]:
    """Return what a rule asks, to be answered one by one."""
    conditions, when = rule.conditions, rule.when
    asked: dict[str, Callable[[], Answer]] = {
        "plain": lambda: _every(list(_answers(conditions, attributes, definitions).values())),
    }
    if conditions.api_object is not None:
        wanted = conditions.api_object
        asked["object"] = lambda: _object_is_like(wanted, attributes)
    asked["named"] = lambda: _named_together(conditions, attributes, definitions)
    if when is not None:
        asked["when"] = lambda: _when(when, attributes, definitions)
    return asked


def _of_object(rule: Rule, definitions: Definitions) -> set[str]:
    """Say which of what a rule asks looks at the object."""
    found = {"object"}
    if _names_object(rule.conditions, definitions):
        found.add("named")
    if rule.when is not None and rule.when.text in OF_OBJECTS:
        found.add("when")
    return found


def _when(expression: Expression, attributes: Attributes, definitions: Definitions) -> bool:
    def named(name: str) -> Answer:
        try:
            return _holds_named(name, attributes, definitions)
        except CannotBeTold:
            return None

    address, now = attributes.environment.source_address, attributes.environment.received_at
    of_policy = OfPolicy(
        tier=lambda: _tier(attributes, definitions),
        named=named,
        networks=lambda: {
            one.name for one in definitions.networks if any(address in b for b in one.blocks)
        },
        calendars=lambda: {one.name for one in definitions.calendars if one.is_open(now)},
    )
    answer = READINGS[expression.text](attributes, of_policy)
    if answer is None:
        raise CannotBeTold(expression.text)
    return answer


def _names_object(conditions: Conditions, definitions: Definitions) -> bool:
    """Whether the object is looked at behind a name, be it that of a tier's condition."""
    tiers = [each.conditions for each in definitions.tiers]
    asks_tier = conditions.device_tier is not None or conditions.device_below_tier is not None
    names = (*conditions.all_of, *conditions.any_of, *conditions.none_of)
    behind = [_named(name, definitions).conditions for name in names]
    return any(
        each.api_object is not None or _names_object(each, definitions)
        for each in (*behind, *(tiers if asks_tier else ()))
    )


def _is_meant(rule: Rule, attributes: Attributes) -> bool:
    who = attributes.subject
    groups = {*who.groups, "system:authenticated"}
    if who.username in rule.users or groups & rule.groups:
        return True
    return bool(who.spiffe_id) and _fits(rule.spiffe_ids, who.spiffe_id)


def _reaches(match: Match, attributes: Attributes, effect: Effect) -> bool:
    request = attributes.request
    if not match.verbs & {request.verb, "*"}:
        return False
    if not request.is_resource:
        patterns = match.non_resource_urls
        paths = {request.path}
        if effect is Effect.DENY and request.path.endswith("/"):
            paths.add(request.path[:-1])
        return any(_fits(patterns, path) for path in paths)
    if not match.api_groups & {request.api_group, "*"}:
        return False
    names_it = any(_is_resource(pattern, request, effect) for pattern in match.resources)
    if not names_it or _is_left_out(match, request, effect):
        return False
    if _lists_namespaces(request):
        return _is_among_namespaces(match, request, effect) and _selectors(match, request)
    return (
        _namespace(match, request, effect)
        and _labels_of_namespace(match, attributes, effect)
        and _name(match, request, effect)
        and _selectors(match, request)
    )


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


def _is_left_out(match: Match, request: RequestInfo, effect: Effect) -> bool:
    if any(_is_resource(each, request, Effect.DENY) for each in match.excluded_resources):
        return True
    # An allow rule that leaves secrets out leaves out what is below them too.
    return effect is Effect.ALLOW and request.resource in match.excluded_resources


def _lists_namespaces(request: RequestInfo) -> bool:
    is_namespaces = (request.api_group, request.qualified_resource) == ("", "namespaces")
    return is_namespaces and request.verb in ("list", "watch") and not request.namespace


def _is_among_namespaces(match: Match, request: RequestInfo, effect: Effect) -> bool:
    """Whether a list of namespaces is allowed, to show some of them, or denied as a whole."""
    asked = [patterns for patterns in (match.namespaces, match.names) if patterns]
    if effect is Effect.DENY:
        return match.namespace_selector is None and all("*" in patterns for patterns in asked)
    return not request.name or all(_fits(patterns, request.name) for patterns in asked)


def _namespace(match: Match, request: RequestInfo, effect: Effect) -> bool:
    if not match.namespaces:
        return True
    if request.namespace:
        return _fits(match.namespaces, request.namespace)
    return _may_be_in_any(request, effect)


def _labels_of_namespace(match: Match, attributes: Attributes, effect: Effect) -> bool:
    if match.namespace_selector is None:
        return True
    if not attributes.request.namespace:
        return _may_be_in_any(attributes.request, effect)
    if attributes.namespace_labels is None:
        return effect is Effect.DENY
    return _selects(match.namespace_selector, attributes.namespace_labels)


def _may_be_in_any(request: RequestInfo, effect: Effect) -> bool:
    is_clusterwide = (request.api_group, request.resource) in KNOWN_CLUSTER_SCOPED
    return effect is Effect.DENY and request.verb in _MANY and not is_clusterwide


def _name(match: Match, request: RequestInfo, effect: Effect) -> bool:
    if not match.names:
        return True
    if request.name:
        return _fits(match.names, request.name)
    return effect is Effect.DENY


def _selectors(match: Match, request: RequestInfo) -> bool:
    """Whether the request's own selectors ask for all that the rule says; allow rules alone."""
    if not match.label_equalities and not match.field_equalities:
        return True
    if request.verb not in _MANY:
        return False
    return all(
        f"{key}={value}" in _terms(selector)
        for wanted, selector in (
            (match.label_equalities, request.label_selector),
            (match.field_equalities, request.field_selector),
        )
        for key, value in wanted
    )


def _terms(selector: str) -> list[str]:
    """Cut a selector at the commas outside brackets; ``a==b`` becomes ``a=b``."""
    terms, depth = [""], 0
    for character in selector:
        depth += (character == "(") - (character == ")")
        if character == "," and depth == 0:
            terms.append("")
        else:
            terms[-1] += character
    return [term.strip().replace("==", "=") for term in terms]


def _hold(
    conditions: Conditions,
    when: Expression | None,
    attributes: Attributes,
    definitions: Definitions,
) -> Answer:
    answers = list(_answers(conditions, attributes, definitions).values())
    if conditions.api_object is not None:
        answers.append(_object_is_like(conditions.api_object, attributes))
    answers.append(_named_together(conditions, attributes, definitions))
    if when is not None:
        answers.append(_when(when, attributes, definitions))
    return _every(answers)


def _answers(
    conditions: Conditions, attributes: Attributes, definitions: Definitions
) -> dict[str, Answer]:
    """Return the answer to each thing that is asked but of objects and by names."""
    answers = {
        **_of_place_and_time(conditions, attributes),
        **_of_device(conditions, attributes, definitions),
        **_of_caller(conditions, attributes),
    }
    if conditions.request is not None:
        answers["request"] = _is_like(conditions.request, attributes)
    return answers


def _of_place_and_time(conditions: Conditions, attributes: Attributes) -> dict[str, Answer]:
    environment = attributes.environment
    answers: dict[str, Answer] = {}
    if conditions.networks:
        address = environment.source_address
        blocks = [block for network in conditions.networks for block in network.blocks]
        answers["networks"] = any(address in block for block in blocks)
    if conditions.countries:
        answers["countries"] = _is_one_of(environment.country, conditions.countries)
    if conditions.asns:
        answers["asns"] = environment.asn in conditions.asns if environment.asn else None
    if conditions.time:
        answers["time"] = any(c.is_open(environment.received_at) for c in conditions.time)
    return answers


def _of_device(
    conditions: Conditions, attributes: Attributes, definitions: Definitions
) -> dict[str, Answer]:
    answers: dict[str, Answer] = {}
    if conditions.device_enrolled is not None:
        is_shown = attributes.device.enrolled is Fact.PASSED
        answers["enrolled"] = conditions.device_enrolled if is_shown else None
    if conditions.device_tier is not None:
        reached = _tier(attributes, definitions) >= conditions.device_tier
        answers["tier"] = True if reached else None
    if conditions.device_below_tier is not None:
        reached = _tier(attributes, definitions) >= conditions.device_below_tier
        answers["below"] = False if reached else None
    for number, answer in enumerate(_of_posture(conditions.device, attributes)):
        answers[f"posture {number}"] = answer
    return answers


def _of_posture(wanted: DeviceFeatures, attributes: Attributes) -> list[Answer]:
    """Return an answer to each thing asked: yes, or that it is not shown."""
    device, now = attributes.device, attributes.environment.received_at
    good = {
        name: check
        for name, check in device.checks
        if check.fact is Fact.PASSED and now < check.expires_at
    }
    told: list[bool] = []
    if wanted.managed:
        told.append(device.managed is Fact.PASSED or "managed" in good)
    if wanted.state:
        told.append(device.state == wanted.state)
    if wanted.own:
        told.append(device.owner == attributes.subject.username)
    for name in wanted.checks:
        age = wanted.checks_max_age
        told.append(name in good and (age is None or now - good[name].observed_at < age))
    if wanted.posture_max_age is not None:
        seen = device.observed_at
        told.append(seen is not None and now - seen < wanted.posture_max_age)
    if wanted.platforms:
        told.append(any(_is_platform(each, device) for each in wanted.platforms))
    if wanted.max_risk:
        told.append(device.risk in ("LOW", wanted.max_risk))
    is_shown = device.enrolled is Fact.PASSED
    return [True if is_shown and each else None for each in told]


def _is_platform(wanted: Platform, device: DevicePosture) -> bool:
    if device.os != wanted.name:
        return False
    if not wanted.min_version:
        return True
    found = device.os_version.split(".")
    if not all(part.isascii() and part.isdigit() for part in found):
        return False
    least = wanted.min_version.split(".")
    longest = max(len(found), len(least))
    filled = [part + ["0"] * (longest - len(part)) for part in (found, least)]
    return [int(part) for part in filled[0]] >= [int(part) for part in filled[1]]


def _of_caller(conditions: Conditions, attributes: Attributes) -> dict[str, Answer]:
    answers: dict[str, Answer] = {}
    if conditions.sign_in is not None:
        answers["authentication"] = _signed_in(conditions.sign_in, attributes)
    if conditions.session_max_age is not None:
        who = attributes.subject
        since = who.session_began_at or who.authenticated_at or who.issued_at
        answers["session"] = _within(since, conditions.session_max_age, attributes)
    if conditions.session_kept:
        answers["kept"] = attributes.subject.method == "session"
    if conditions.session_max_risk:
        risk = attributes.subject.risk
        answers["risk"] = risk in ("LOW", conditions.session_max_risk) if risk else None
    if conditions.session_same_address or conditions.session_same_country:
        answers |= _where_sessions_are(conditions, attributes)
    if conditions.workloads:
        spiffe_id = attributes.subject.spiffe_id
        answers["workload"] = bool(spiffe_id) and _fits(conditions.workloads, spiffe_id)
    return answers


def _where_sessions_are(conditions: Conditions, attributes: Attributes) -> dict[str, Answer]:
    who, where = attributes.subject, attributes.environment
    stays = None
    if who.signed_in_from:
        own = str(where.source_address)
        stays = own == who.signed_in_from and who.seen_from in ("", who.signed_in_from)
    answers: dict[str, Answer] = {}
    if conditions.session_same_address:
        answers["same address"] = stays
    if conditions.session_same_country:
        seen_here = who.seen_from in ("", str(where.source_address))
        last = where.seen_country or (where.country if seen_here else "")
        each = [_same(where.sign_in_country, country) for country in (where.country, last)]
        answers["same country"] = True if stays else _every(each)
    return answers


def _same(one: str, other: str) -> Answer:
    return one == other if one and other else None


def _tier(attributes: Attributes, definitions: Definitions) -> int:
    if any(name == "compliant" and c.fact is Fact.FAILED for name, c in attributes.device.checks):
        return 0
    reached = [0]
    for tier in definitions.tiers:
        try:
            if _hold(tier.conditions, tier.when, attributes, definitions) is True:
                reached.append(tier.level)
        except CannotBeTold:
            continue
    return max(reached)


def _signed_in(wanted: SignIn, attributes: Attributes) -> Answer:
    who = attributes.subject
    return _every(
        [
            _within(who.authenticated_at, wanted.max_age, attributes),
            _is_one_of(who.authentication_class, wanted.classes),
            _has_one_of(who.authentication_methods, wanted.methods),
            _is_one_of(who.issuer, wanted.issuers),
        ]
    )


def _within(since: datetime | None, age: timedelta | None, attributes: Attributes) -> Answer:
    if age is None:
        return True
    if since is None:
        return None
    return attributes.environment.received_at - since < age


def _is_one_of(value: str, wanted: frozenset[str]) -> Answer:
    if not wanted:
        return True
    return value in wanted if value else None


def _has_one_of(values: tuple[str, ...], wanted: frozenset[str]) -> Answer:
    if not wanted:
        return True
    return any(value in wanted for value in values) if values else None


def _is_like(wanted: RequestFeatures, attributes: Attributes) -> Answer:
    request, agent = attributes.request, attributes.environment.user_agent
    answers: list[Answer] = []
    if wanted.user_agents:
        answers.append(_fits(wanted.user_agents, agent) if agent else None)
    if wanted.dry_run is not None:
        answers.append(request.is_dry_run == wanted.dry_run)
    if wanted.commands:
        command = " ".join(request.command)
        is_exec = request.subresource == "exec" and request.verb == "connect"
        answers.append(is_exec and _fits(wanted.commands, command))
    if wanted.containers:
        answers.append(_fits(wanted.containers, request.container) if request.container else None)
    return _every(answers)


def _object_is_like(wanted: ObjectFeatures, attributes: Attributes) -> Answer:
    found = attributes.api_object
    if found is None or found.is_patch:
        return None
    answers: list[Answer] = []
    if wanted.privileged is not None:
        answers.append(found.privileged == wanted.privileged)
    if wanted.host_namespaces is not None:
        answers.append(found.host_namespaces == wanted.host_namespaces)
    if wanted.service_accounts:
        answers.append(_fits(wanted.service_accounts, found.service_account))
    if wanted.images:
        fitting = [image for image in found.images if _fits(wanted.images, image)]
        if not fitting:
            answers.append(False)
        else:  # Some but not all: no rule is passed by mixing.
            answers.append(True if len(fitting) == len(found.images) else None)
    if wanted.labels is not None:
        answers.append(_selects(wanted.labels, found.labels))
    return _every(answers)


def _named_together(
    conditions: Conditions, attributes: Attributes, definitions: Definitions
) -> Answer:
    def ask(name: str) -> Answer:
        return _holds_named(name, attributes, definitions)

    answers = [ask(name) for name in conditions.all_of]
    if conditions.any_of:
        answers.append(_some([ask(name) for name in conditions.any_of]))
    answers += [_not(ask(name)) for name in conditions.none_of]
    return _every(answers)


def _holds_named(name: str, attributes: Attributes, definitions: Definitions) -> Answer:
    found = _named(name, definitions)
    return _hold(found.conditions, found.when, attributes, definitions)


def _named(name: str, definitions: Definitions) -> NamedCondition:
    return next(each for each in definitions.conditions if each.name == name)


def _are_met(asked: Obligations, attributes: Attributes) -> bool:
    who, request = attributes.subject, attributes.request
    reads = request.verb in (("get", "list", "watch") if request.is_resource else ("get", "head"))
    enters = request.verb in ("connect", "proxy")
    if asked.mfa is not None:
        wanted = SignIn(
            max_age=asked.mfa.max_age, classes=asked.mfa.classes, methods=asked.mfa.methods
        )
        if _signed_in(wanted, attributes) is not True:
            return False
    if (
        asked.reauth is not None
        and _within(who.authenticated_at, asked.reauth, attributes) is not True
    ):
        return False
    if asked.reason and not attributes.environment.reason:
        return False
    if asked.read_only and not reads:
        return False
    if asked.dry_run_only and not reads and (enters or not request.is_dry_run):
        return False
    return not (asked.bound and not who.confirmation)


def _selects(selector: LabelSelector, labels: Labels) -> bool:
    return all(_meets(requirement, labels) for requirement in selector.requirements)


def _meets(requirement: LabelRequirement, labels: Labels) -> bool:
    found = [value for key, value in labels if key == requirement.key]
    if requirement.operator is Operator.EXISTS:
        return bool(found)
    if requirement.operator is Operator.DOES_NOT_EXIST:
        return not found
    has_value = any(value in requirement.values for value in found)
    return has_value if requirement.operator is Operator.IN else not has_value


def _every(answers: list[Answer]) -> Answer:
    if any(answer is False for answer in answers):
        return False
    return None if any(answer is None for answer in answers) else True


def _some(answers: list[Answer]) -> Answer:
    return _not(_every([_not(answer) for answer in answers]))


def _not(answer: Answer) -> Answer:
    return None if answer is None else not answer


def _fits(patterns: frozenset[str] | tuple[str, ...], text: str) -> bool:
    return any(fnmatch.fnmatchcase(text, pattern) for pattern in patterns)

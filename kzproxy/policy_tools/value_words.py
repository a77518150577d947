"""Rules and definitions in the words of the file: field by field, as JSON would hold them.

Made from what they mean, not from what is written: two spellings of one meaning have the same
words. Two rules of the same words decide alike, but for what they name.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from kzproxy.attributes.spiffe import SERVICE_ACCOUNT_PREFIX
from kzproxy.policy.calendar import DAYS, Calendar, DatedWindow, WeeklyWindow
from kzproxy.policy.network import Network
from kzproxy.policy.obligations import Obligations
from kzproxy.policy.rules import Conditions, Match, NamedCondition, Rule, SignIn, Tier
from kzproxy.policy.selectors import LabelRequirement, LabelSelector, Operator
from kzproxy.policy_tools.device_words import device_words, risk_words
from kzproxy.policy_tools.given_words import Words, duration_text
from kzproxy.policy_tools.given_words import given_words as _given


def rule_words(rule: Rule) -> Words:
    """Return the fields of a rule."""
    return _given(
        {
            "effect": rule.effect.value,
            "subjects": _subject_words(rule),
            "match": [match_words(each) for each in rule.match],
            "conditions": condition_words(rule.conditions),
            "when": rule.when.text if rule.when is not None else None,
            "patches": "allow" if rule.patches_allowed else None,
            "obligations": _obligation_words(rule.obligations),
            "message": rule.message,
        }
    )


def match_words(match: Match) -> Words:
    """Return the fields of one entry of a ``match``."""
    return _given(
        {
            "verbs": sorted(match.verbs),
            "apiGroups": sorted(match.api_groups),
            "resources": [
                *sorted(match.resources),
                *(f"!{each}" for each in sorted(match.excluded_resources)),
            ],
            "namespaces": sorted({*match.namespaces}),
            "names": sorted({*match.names}),
            "namespaceSelector": _selector_words(match.namespace_selector),
            "labelSelector": _equality_words(match.label_equalities),
            "fieldSelector": _equality_words(match.field_equalities),
            "nonResourceURLs": sorted(match.non_resource_urls),
        }
    )


def condition_words(asked: Conditions) -> Words:
    """Return the fields of ``conditions``."""
    request, found = asked.request, asked.api_object
    return _given(
        {
            "networks": sorted(each.name for each in asked.networks),
            "countries": sorted(asked.countries),
            "asns": sorted(asked.asns),
            "time": sorted(each.name for each in asked.time),
            "device": _given(
                {
                    "enrolled": asked.device_enrolled,
                    "tier": asked.device_tier,
                    "belowTier": asked.device_below_tier,
                }
            )
            | device_words(asked.device),
            "authentication": _sign_in_words(asked.sign_in or SignIn()),
            "session": _age_words(asked.session_max_age)
            | _given(
                {
                    "mode": "session" if asked.session_kept else None,
                    "sameAddress": asked.session_same_address or None,
                    "sameCountry": asked.session_same_country or None,
                }
            )
            | risk_words(asked.session_max_risk),
            "workload": _given({"spiffeIDs": sorted({*asked.workloads})}),
            "request": request
            and _given(
                {
                    "userAgents": sorted({*request.user_agents}),
                    "dryRun": request.dry_run,
                    "commands": sorted({*request.commands}),
                    "containers": sorted({*request.containers}),
                }
            ),
            "object": found
            and _given(
                {
                    "privileged": found.privileged,
                    "hostNamespaces": found.host_namespaces,
                    "serviceAccounts": sorted({*found.service_accounts}),
                    "images": sorted({*found.images}),
                    "labels": _selector_words(found.labels),
                }
            ),
            "all": sorted({*asked.all_of}),
            "any": sorted({*asked.any_of}),
            "none": sorted({*asked.none_of}),
        }
    )


def named_words(named: NamedCondition) -> Words:
    """Return the fields of a named condition."""
    return condition_words(named.conditions) | _given({"when": named.when and named.when.text})


def tier_words(tier: Tier) -> Words:
    """Return the fields of a tier but for its level."""
    words = {"name": tier.name, "conditions": condition_words(tier.conditions)}
    return _given({**words, "when": tier.when and tier.when.text})


def network_words(network: Network) -> Words:
    """Return the address blocks of a network."""
    blocks = sorted({*network.blocks}, key=lambda block: (block.version, block))
    return {network.name: [str(block) for block in blocks]}


def calendar_words(calendar: Calendar) -> Words:
    """Return the fields of a calendar."""
    holidays = calendar.holidays
    return _given(
        {
            "timeZone": calendar.zone_name,
            "weekly": _unique(_weekly_words(each) for each in calendar.weekly),
            "dated": _dated_words(calendar.dated),
            "except": _dated_words(calendar.exceptions),
            "holidays": holidays
            and _given({"country": holidays.country, "subdivision": holidays.subdivision}),
        }
    )


def _subject_words(rule: Rule) -> Words:
    accounts = {user for user in rule.users if user.startswith(SERVICE_ACCOUNT_PREFIX)}
    return _given(
        {
            "users": sorted(rule.users - accounts),
            "groups": sorted(rule.groups),
            "serviceAccounts": sorted(
                user.removeprefix(SERVICE_ACCOUNT_PREFIX).replace(":", "/", 1) for user in accounts
            ),
            "spiffeIDs": sorted({*rule.spiffe_ids}),
        }
    )


def _obligation_words(asked: Obligations) -> Words:
    mfa = asked.mfa
    factors = mfa and _sign_in_words(
        SignIn(max_age=mfa.max_age, classes=mfa.classes, methods=mfa.methods)
    )
    return _given(
        {
            "mfa": factors,
            "reauth": _age_words(asked.reauth),
            "reason": "required" if asked.reason else None,
            "maxSession": asked.max_session and duration_text(asked.max_session),
            "idle": asked.idle and duration_text(asked.idle),
            "readOnly": asked.read_only or None,
            "dryRunOnly": asked.dry_run_only or None,
            "bound": asked.bound or None,
        }
    )


def _sign_in_words(asked: SignIn) -> Words:
    return _given(
        {
            "maxAge": asked.max_age and duration_text(asked.max_age),
            "classes": sorted(asked.classes),
            "methods": sorted(asked.methods),
            "issuers": sorted(asked.issuers),
        }
    )


def _age_words(age: timedelta | None) -> Words:
    return {"maxAge": duration_text(age)} if age is not None else {}


def _selector_words(selector: LabelSelector | None) -> Words:
    if selector is None:
        return {}
    asked = set(selector.requirements)
    equal = {each for each in asked if each.operator is Operator.IN and len(each.values) == 1}
    # A key has one value under matchLabels.
    labels = {each.key: each for each in sorted(equal, key=repr)}
    others = asked - set(labels.values())
    return _given(
        {
            "matchLabels": {key: next(iter(each.values)) for key, each in labels.items()},
            "matchExpressions": sorted((_requirement_words(each) for each in others), key=repr),
        }
    )


def _requirement_words(asked: LabelRequirement) -> Words:
    words = {"key": asked.key, "operator": asked.operator.value}
    return _given({**words, "values": sorted(asked.values)})


def _equality_words(equalities: Iterable[tuple[str, str]]) -> str:
    return ",".join(f"{key}={value}" for key, value in sorted(equalities))


def _weekly_words(window: WeeklyWindow) -> Words:
    return {
        "days": [DAYS[day] for day in sorted(window.days)],
        "from": _time_of_day(window.from_minute),
        "to": _time_of_day(window.to_minute),
    }


def _time_of_day(minute: int) -> str:
    return f"{minute // 60:02d}:{minute % 60:02d}"


def _dated_words(windows: Iterable[DatedWindow]) -> list[Words]:
    found = sorted({(each.start, each.end) for each in windows})
    return [{"from": _moment(start), "to": _moment(end)} for start, end in found]


def _moment(wall: datetime) -> str:
    is_date = not wall.hour and not wall.minute
    return wall.date().isoformat() if is_date else wall.isoformat(timespec="minutes")


def _unique(found: Iterable[Words]) -> list[Words]:
    """Return each once, in an order of no meaning."""
    by_text = {repr(each): each for each in found}
    return [by_text[text] for text in sorted(by_text)]

"""The JSON Schema of AccessPolicy files, for editors.

tests/config/test_policy_schema.py holds it to the loader, field by field and mistake by mistake.
What only the loader can tell (whether a name is defined, a date exists, an expression is right) it
lets pass.
"""

from kzproxy.config.access_policy import API_VERSION, KIND
from kzproxy.config.json_schema import (
    DRAFT,
    Schema,
    by_name,
    choice,
    filled_list,
    mapping,
    number,
    only_true,
    text,
    truth,
    without,
)
from kzproxy.config.match_schema import LABEL_SELECTOR, MATCH
from kzproxy.config.policy_contexts import CIDR, DATE, TIME_OF_DAY
from kzproxy.config.policy_device import MAX_LEVEL
from kzproxy.config.policy_device_schema import DEVICE, OF_GOOD_DEVICES, SESSION
from kzproxy.config.policy_durations import DURATION
from kzproxy.config.policy_location_schema import LOCATION
from kzproxy.config.policy_names import MAX_MESSAGE_CHARACTERS, NAME
from kzproxy.config.policy_subjects import ANONYMOUS, SERVICE_ACCOUNT, TRUST_DOMAIN, WORKLOAD
from kzproxy.policy.calendar import DAYS
from kzproxy.policy.rules import Effect

_TIME_OF_BEGINNING = "(?:[01][0-9]|2[0-3]):[0-5][0-9]"
_SUBJECT = rf"(?!(?:{'|'.join(ANONYMOUS)})$)[^*\s](?:[^*\r\n]*[^*\s])?"


def access_policy_schema() -> Schema:
    """Return the schema of one document."""
    return {
        "$schema": DRAFT,
        "title": "kzproxy AccessPolicy",
        **mapping(
            "What users may do through kzproxy. All files of a configuration are one policy.",
            {
                "apiVersion": choice("The version of this language.", [API_VERSION]),
                "kind": choice("The kind of file.", [KIND]),
                "metadata": mapping("About this document.", {"name": _name("Its name.")}, ["name"]),
                "networks": by_name("Networks by name.", _BLOCKS, NAME),
                "calendars": by_name("Calendars by name: when they are open.", _CALENDAR, NAME),
                "conditions": by_name(
                    "Conditions by name; each may use those before it.", _NAMED_CONDITION, NAME
                ),
                "tiers": filled_list(
                    "Levels of trust in a device; it is of the highest whose conditions hold.",
                    _TIER,
                ),
                "rules": {
                    "type": "array",
                    "description": "What is allowed and denied. Deny wins; no rules deny all.",
                    "items": _RULE,
                },
            },
            ["apiVersion", "kind", "metadata", "rules"],
        ),
        "definitions": {"conditions": _conditions("All must hold."), "labels": LABEL_SELECTOR},
    }


def _name(description: str) -> Schema:
    return text(description, NAME)


def _names(description: str) -> Schema:
    return filled_list(description, _name("A name that is defined in this policy."))


def _texts(description: str, pattern: str = "") -> Schema:
    return filled_list(description, text("One of them is enough.", pattern))


def _duration(description: str) -> Schema:
    return text(f"{description} A number and s, m, h or d, such as 15m.", DURATION)


_BLOCKS = filled_list("Address blocks.", text("A CIDR, such as 192.0.2.0/24.", CIDR))
_WINDOWS = filled_list(
    "By the wall clock of the time zone.",
    mapping(
        "A stretch of time.",
        {
            "from": text('"YYYY-MM-DD" or "YYYY-MM-DDTHH:MM", included.', DATE),
            "to": text('"YYYY-MM-DD" or "YYYY-MM-DDTHH:MM", not included.', DATE),
        },
        ["from", "to"],
    ),
)
_CALENDAR = mapping(
    "Open in its windows, by the wall clock of its time zone.",
    {
        "timeZone": text("An IANA name, such as Europe/Prague."),
        "weekly": filled_list(
            "Windows of every week.",
            mapping(
                'A window; where "to" is not after "from", it ends the next day.',
                {
                    "days": filled_list("On which it begins.", choice("A day.", DAYS)),
                    "from": text('"HH:MM" in quotes, included.', _TIME_OF_BEGINNING),
                    "to": text('"HH:MM" in quotes, not included; "24:00" at most.', TIME_OF_DAY),
                },
                ["days", "from", "to"],
            ),
        ),
        "dated": _WINDOWS,
        "except": {**_WINDOWS, "description": "It is closed then, whatever else."},
        "holidays": mapping(
            "It is closed on public holidays.",
            {
                "country": text("ISO 3166-1, such as CZ."),
                "subdivision": text("ISO 3166-2 without the country."),
            },
            ["country"],
        ),
    },
    ["timeZone"],
    anyOf=[{"required": ["weekly"]}, {"required": ["dated"]}],
)
_WHEN = text("An expression in CEL that must hold besides.")


def _condition_fields() -> dict[str, Schema]:
    sign_in = {
        "maxAge": _duration("The sign-in is at most so old."),
        "classes": _texts("Its acr."),
        "methods": _texts("Its amr."),
        "issuers": _texts("At one of these issuers."),
    }
    return {
        "networks": _names("The connection comes from one of these networks."),
        **LOCATION,
        "time": _names("One of these calendars is open."),
        "device": DEVICE,
        "authentication": mapping("How the person signed in. Not in deny rules.", sign_in),
        "session": SESSION,
        "workload": mapping(
            "What workload the caller is.",
            {
                "spiffeIDs": filled_list(
                    "It has one of these; * stands for any characters.",
                    text("One of them is enough.", WORKLOAD),
                )
            },
            ["spiffeIDs"],
        ),
        "request": mapping(
            "What the request is like.",
            {
                "userAgents": _texts("As the client says; * stands for any characters."),
                "dryRun": truth("Whether it is a dry run."),
                "commands": _texts("The argv of an exec, joined by blanks; * as elsewhere."),
                "containers": _texts("The container that an exec or attach names."),
            },
        ),
        "object": mapping(
            "What the object is like; the rule says needs: [object].",
            {
                "privileged": truth("Whether one of its containers is."),
                "hostNamespaces": truth("Whether it shares namespaces of the node."),
                "serviceAccounts": _texts("The one that it runs as."),
                "images": _texts("Its images."),
                "labels": {"$ref": "#/definitions/labels"},
            },
        ),
        "all": _names("Named conditions that all hold."),
        "any": _names("Named conditions of which one holds."),
        "none": _names("Named conditions of which none holds."),
    }


def _conditions(description: str) -> Schema:
    return mapping(description, _condition_fields())


_NAMED_CONDITION = mapping(
    "Conditions under a name, for rules.", {**_condition_fields(), "when": _WHEN}
)
_ALLOW_CONDITIONS: Schema = {
    "properties": {"device": {"properties": {"enrolled": {"enum": [True]}, **without("belowTier")}}}
}
_DENY_CONDITIONS: Schema = {
    "properties": {
        "device": {
            "properties": {"enrolled": {"enum": [False]}, **without("tier", *OF_GOOD_DEVICES)}
        },
        **without("authentication", "session"),
    }
}
_TIER = mapping(
    "A tier.",
    {
        "level": number("Its level.", 1, MAX_LEVEL),
        "name": _name("For people."),
        "conditions": {
            "allOf": [
                {"$ref": "#/definitions/conditions"},
                _ALLOW_CONDITIONS,
                {"properties": {"device": {"properties": without("tier")}}},
            ]
        },
        "when": _WHEN,
    },
    ["level", "name"],
    anyOf=[{"required": ["conditions"]}, {"required": ["when"]}],
)
_OBLIGATIONS = mapping(
    "What an allow rule asks of whom it lets in.",
    {
        "mfa": mapping(
            "A strong sign-in.",
            {
                "maxAge": _duration("At most so old."),
                "classes": _texts("Its acr."),
                "methods": _texts("Its amr."),
            },
            anyOf=[{"required": ["classes"]}, {"required": ["methods"]}],
        ),
        "reauth": mapping("A fresh sign-in.", {"maxAge": _duration("At most so old.")}, ["maxAge"]),
        "reason": choice("The user has given a reason.", ["required"]),
        "maxSession": _duration("No request lasts longer."),
        "idle": _duration("A stream on which nothing moves for so long is ended."),
        "readOnly": only_true("The request only reads."),
        "dryRunOnly": only_true("It only reads, or is a dry run."),
        "bound": only_true("The token is bound to the client certificate."),
    },
)
_SUBJECTS = mapping(
    "Whom the rule means; one of all is enough.",
    {
        "users": filled_list("Exact names.", text("A user.", _SUBJECT)),
        "groups": filled_list(
            "Exact names; system:authenticated is everyone.", text("A group.", _SUBJECT)
        ),
        "serviceAccounts": filled_list("ServiceAccounts.", text("NAMESPACE/NAME", SERVICE_ACCOUNT)),
        "spiffeIDs": filled_list(
            "Workloads.", text("spiffe://TRUST-DOMAIN/PATH, with * in the path.", TRUST_DOMAIN)
        ),
    },
)
_RULE = mapping(
    "A rule matches when a subject, an entry of match and all conditions do.",
    {
        "id": _name("Named in the decision log and in refusals; unique over all files."),
        "effect": choice("What the rule does. Deny wins.", [each.value for each in Effect]),
        "subjects": _SUBJECTS,
        "match": filled_list("What it reaches; one entry is enough.", MATCH),
        "conditions": {"$ref": "#/definitions/conditions"},
        "when": _WHEN,
        "needs": filled_list(
            "What must be fetched for it: [object] where the object is looked at.",
            choice("What is needed.", ["object"]),
        ),
        "patches": choice("Judge patches without what conditions.object asks.", ["allow"]),
        "obligations": _OBLIGATIONS,
        "message": {
            **text("One line for whom the rule refuses or nearly lets in.", r"[^\r\n]*"),
            "maxLength": MAX_MESSAGE_CHARACTERS,
        },
    },
    ["id", "effect", "subjects", "match"],
    allOf=[
        {
            "if": {"properties": {"effect": {"enum": [Effect.DENY.value]}}},
            "then": {
                "properties": {
                    "conditions": _DENY_CONDITIONS,
                    "match": {"items": {"properties": without("labelSelector", "fieldSelector")}},
                    **without("obligations"),
                }
            },
        },
        {
            "if": {"properties": {"effect": {"enum": [Effect.ALLOW.value]}}},
            "then": {"properties": {"conditions": _ALLOW_CONDITIONS}},
        },
        {
            "if": {
                "properties": {"conditions": {"type": "object", "required": ["object"]}},
                "required": ["conditions"],
            },
            "then": {"required": ["needs"]},
        },
    ],
)

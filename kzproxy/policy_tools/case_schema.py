"""The JSON Schema of PolicyTest files, for editors; a test holds it to what reads them."""

from kzproxy.config.json_schema import (
    DRAFT,
    Schema,
    any_text,
    choice,
    filled_list,
    mapping,
    number,
    text,
    truth,
)
from kzproxy.config.policy_durations import DURATION
from kzproxy.policy.decision import Cause
from kzproxy.policy.device_features import RISKS
from kzproxy.policy.location import COUNTRY, MAX_ASN
from kzproxy.policy.vocabulary import RESOURCE_VERBS
from kzproxy.policy_tools.case_file import (
    API_VERSION,
    DECISIONS,
    KIND,
    OBLIGATION_COVERAGE,
    OBLIGATION_NAMES,
    RULE_COVERAGE,
)


def policy_test_schema() -> Schema:
    """Return the schema of one file."""
    facts = _facts()
    case = {
        "name": text("Says what is tried; unique in the file."),
        "given": {"type": "array", "description": "Fixtures, laid over one another.", **_STRINGS},
        "expect": _EXPECTATION,
        **facts,
    }
    return {
        "$schema": DRAFT,
        "title": "kzproxy PolicyTest",
        **mapping(
            "Questions put to a policy, and what each must come to.",
            {
                "apiVersion": choice("The version of this language.", [API_VERSION]),
                "kind": choice("The kind of file.", [KIND]),
                "policyFiles": filled_list("Relative to this file.", text("A file.")),
                "at": facts["at"],
                "from": facts["from"],
                "coverage": _COVERAGE,
                "fixtures": {
                    "type": "object",
                    "description": "Facts by name, for cases to be given.",
                    "additionalProperties": _may_be_empty("Facts.", facts),
                },
                "cases": filled_list(
                    "What is asked.", mapping("A case.", case, ["name", "expect"])
                ),
            },
            ["apiVersion", "kind", "policyFiles", "cases"],
        ),
    }


_STRINGS: Schema = {"items": {"type": "string", "minLength": 1}}
_EXPECTATION = mapping(
    "What it must come to.",
    {
        "decision": choice("What is decided.", DECISIONS),
        "rule": any_text("The rule that decides, or comes nearest; empty for none."),
        "cause": choice("Why it is not allowed.", [each.value for each in Cause]),
        "unmet": {
            "type": "array",
            "description": "The obligations that are not met.",
            "items": choice("An obligation.", OBLIGATION_NAMES),
        },
        "hintContains": text("A part of what the user is told."),
    },
    ["decision"],
)
_COVERAGE: Schema = {
    "type": "object",
    "description": "What must have been tried.",
    "additionalProperties": False,
    "properties": {
        "rules": choice("Of each rule.", list(RULE_COVERAGE)),
        "obligations": choice("Of each obligation.", list(OBLIGATION_COVERAGE)),
    },
}


def _may_be_empty(description: str, fields: dict[str, Schema]) -> Schema:
    return {
        "type": "object",
        "description": description,
        "additionalProperties": False,
        "properties": fields,
    }


def _texts(description: str) -> Schema:
    return filled_list(description, text("One of them."))


def _labels(description: str) -> Schema:
    return {
        "type": "object",
        "description": description,
        "additionalProperties": any_text("The value."),
    }


def _facts() -> dict[str, Schema]:
    age = text("A number and s, m, h or d, such as 15m.", DURATION)
    return {
        "user": _may_be_empty(
            "Who asks.",
            {
                "name": text("The user name."),
                "groups": _texts("Groups."),
                "uid": text("The uid."),
                "extra": {
                    "type": "object",
                    "description": "Extra values by key.",
                    "additionalProperties": _texts("The values."),
                },
                "issuer": text("Who vouches for it."),
                "spiffeID": text("Of a workload."),
            },
        ),
        "authentication": _may_be_empty(
            "How they signed in.",
            {
                "age": {**age, "description": "How long ago."},
                "class": text("The acr."),
                "methods": _texts("The amr."),
                "bound": truth("Whether the token is bound to the client certificate."),
            },
        ),
        "session": _may_be_empty(
            "Their session.",
            {
                "age": age,
                "mode": choice("kzproxy keeps it.", ["session"]),
                "risk": choice("How high it is.", RISKS),
                "signedInFrom": text("The address that it was signed in from."),
                "signInCountry": text("Of that address, ISO 3166-1, such as DE.", COUNTRY),
            },
        ),
        "device": _may_be_empty("Their device.", _device_fields(age)),
        "object": _may_be_empty("The object that is asked about.", _object_fields()),
        "request": _may_be_empty("What is asked.", _request_fields()),
        "at": text("When: a time with its offset, as 2026-03-04T10:00:00+01:00."),
        "from": text("The address that the connection comes from."),
        "country": text("Of that address, ISO 3166-1, such as DE.", COUNTRY),
        "asn": number("Of that address: its autonomous system.", 1, MAX_ASN),
        "userAgent": text("What the client calls itself."),
        "reason": text("What the user has given as a reason."),
        "namespaceLabels": _labels("Of the request's namespace."),
    }


def _device_fields(age: Schema) -> dict[str, Schema]:
    return {
        "enrolled": truth("Whether that is shown."),
        "id": text("Of an enrolled device."),
        "managed": truth("Whether the organisation manages it."),
        "state": text("In the registry: approved, pending or blocked."),
        "owner": text("The user name of who enrolled it."),
        "passed": _texts("Checks that passed."),
        "failed": _texts("Checks that failed."),
        "postureAge": {**age, "description": "How old its newest report is, and each check."},
        "os": text("The ID of its operating system."),
        "osVersion": text("The version of that."),
        "risk": choice("How high it is.", RISKS),
    }


def _object_fields() -> dict[str, Schema]:
    return {
        "labels": _labels("On its metadata."),
        "privileged": truth("Whether a container is."),
        "hostNamespaces": truth("Whether namespaces of the node are shared."),
        "serviceAccount": text("That it runs as."),
        "images": _texts("Of its containers."),
        "isPatch": truth("It is a patch, of which nobody can tell what it makes."),
    }


def _request_fields() -> dict[str, Schema]:
    return {
        "verb": choice("Of a resource.", RESOURCE_VERBS),
        "apiGroup": any_text('Without version; "" is the core group.'),
        "apiVersion": any_text("v1 where it is left out."),
        "resource": text("pods, or pods/log."),
        "namespace": any_text("Empty for none, or all."),
        "name": any_text("Of the object."),
        "fieldSelector": text("Of a list."),
        "labelSelector": text("Of a list."),
        "dryRun": truth("Whether it is a dry run."),
        "command": _texts("The argv of an exec."),
        "container": text("That an exec or attach names."),
        "method": text("An HTTP method, with path alone."),
        "path": text("A request target, with method alone."),
    }

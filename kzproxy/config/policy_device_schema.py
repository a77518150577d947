"""The part of the policy's schema that says what is asked of device and session."""

from kzproxy.config.json_schema import (
    Schema,
    choice,
    filled_list,
    mapping,
    number,
    only_true,
    text,
    truth,
)
from kzproxy.config.policy_device import (
    CHECK,
    MAX_LEVEL,
    MODES,
    OF_GOOD_DEVICES,
    RISKS_ASKED,
    VERSION,
)
from kzproxy.config.policy_durations import DURATION
from kzproxy.config.policy_names import NAME
from kzproxy.policy.device_features import OWNER_SELF, STATES

__all__ = ["DEVICE", "OF_GOOD_DEVICES", "SESSION"]


def _age(description: str) -> Schema:
    return text(f"{description} A number and s, m, h or d, such as 15m.", DURATION)


def _level(description: str) -> Schema:
    level = number("A level.", 1, MAX_LEVEL)
    return {"description": description, "anyOf": [level, text("The name of a tier.", NAME)]}


_RISK = mapping(
    "Somebody who is believed says how high it is.",
    {"atMost": choice("The highest that passes.", RISKS_ASKED)},
    ["atMost"],
)
DEVICE = mapping(
    "What device it is. Of a deny rule only enrolled and belowTier.",
    {
        "enrolled": truth("true in allow rules, false in deny rules."),
        "tier": _level("It reaches this tier. Allow rules only."),
        "belowTier": _level("It does not reach this tier. Deny rules only."),
        "managed": only_true("The organisation manages it."),
        "state": choice("What the registry has it as.", STATES),
        "owner": choice("Who enrolled it: the one who asks.", [OWNER_SELF]),
        "checks": mapping(
            "What has been found of it.",
            {
                "passed": filled_list("All of them passed.", text("disk_encrypted", CHECK)),
                "maxAge": _age("Each was observed at most so long ago."),
            },
            ["passed"],
        ),
        "postureAge": mapping(
            "How old the newest report is.", {"atMost": _age("At most so old.")}, ["atMost"]
        ),
        "os": filled_list(
            "It runs one of these.",
            mapping(
                "An operating system.",
                {
                    "platform": text("Its ID, such as ubuntu or macos.", NAME),
                    "minVersion": text('The least version, in quotes: "24.04".', VERSION),
                },
                ["platform"],
            ),
        ),
        "risk": _RISK,
    },
)
SESSION = mapping(
    "What the session is like. Not in deny rules.",
    {
        "maxAge": _age("It began at most so long ago."),
        "mode": choice("kzproxy keeps it.", MODES),
        "sameAddress": only_true("It is at the address that it was signed in from."),
        "sameCountry": only_true("It is in the country that it was signed in from."),
        "risk": _RISK,
    },
)

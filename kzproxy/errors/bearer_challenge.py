"""``WWW-Authenticate`` for a sign-in that is too old or too weak (RFC 9470 section 3)."""

import re

from kzproxy.errors.kinds import StepUpRequired

# What RFC 6750 section 3 lets an error_description hold, and what RFC 9470 a list of classes.
_NOT_IN_A_DESCRIPTION = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")
_NOT_IN_A_CLASS = re.compile(r"[^\x21\x23-\x5b\x5d-\x7e]")


def bearer_challenge(error: StepUpRequired) -> str:
    """Return the value of the header; what cannot stand there is left out of it."""
    classes = [each for each in error.acr_values if each and not _NOT_IN_A_CLASS.search(each)]
    description = _NOT_IN_A_DESCRIPTION.sub("'", error.message)
    parts = {
        "error": "insufficient_user_authentication",
        "error_description": description,
        "acr_values": " ".join(classes),
        "max_age": "" if error.max_age_seconds is None else str(error.max_age_seconds),
    }
    return "Bearer " + ", ".join(f'{name}="{value}"' for name, value in parts.items() if value)

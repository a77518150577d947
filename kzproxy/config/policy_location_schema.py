"""The JSON Schema of ``countries`` and ``asns``."""

from kzproxy.config.json_schema import Schema, filled_list, number, text
from kzproxy.policy.location import MAX_ASN

LOCATION: dict[str, Schema] = {
    "countries": filled_list(
        "The address is in one of these countries.",
        text("ISO 3166-1, such as DE.", "(?!UK|EL)[A-Z]{2}"),
    ),
    "asns": filled_list(
        "The address is in one of these autonomous systems.", number("Its number.", 1, MAX_ASN)
    ),
}

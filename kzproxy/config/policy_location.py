"""``countries`` and ``asns`` of conditions."""

from kzproxy.config.document import Node
from kzproxy.config.policy_names import filled
from kzproxy.policy.location import COUNTRY, MAX_ASN

# Not what ISO 3166-1 calls them.
_MEANT = {"UK": "GB", "EL": "GR"}


def read_countries(node: Node) -> frozenset[str]:
    """Read ISO 3166-1 codes of two letters."""
    return frozenset(_country(item) for item in filled(node, "countries"))


def read_asns(node: Node) -> frozenset[int]:
    """Read numbers of autonomous systems."""
    return frozenset(item.integer(1, MAX_ASN) for item in filled(node, "autonomous systems"))


def _country(node: Node) -> str:
    text = node.string()
    if text in _MEANT:
        node.mistake(f"{text} is no ISO 3166-1 code; write {_MEANT[text]}")
    elif text and not COUNTRY.fullmatch(text):
        node.mistake(f"{text} is no ISO 3166-1 code of two capital letters, such as DE")
    return text

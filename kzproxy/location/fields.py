"""Country and autonomous system in a record, where the makers of databases put them."""

import re

from kzproxy.policy.location import COUNTRY, MAX_ASN

_ASN = re.compile(r"AS([1-9][0-9]{0,9})")


def country_in(record: object) -> str:
    """Return the ISO code of the country; empty where there is none.

    GeoLite2 and DB-IP have ``country.iso_code``, others ``country_code`` or ``country``.
    """
    if not isinstance(record, dict):
        return ""
    found = record.get("country_code", record.get("country"))
    if isinstance(found, dict):
        found = found.get("iso_code")
    return found if isinstance(found, str) and COUNTRY.fullmatch(found) else ""


def asn_in(record: object) -> int:
    """Return the number of the autonomous system; 0 where there is none.

    GeoLite2 and DB-IP have ``autonomous_system_number``, others ``asn``: a number or ``AS64500``.
    """
    if not isinstance(record, dict):
        return 0
    found = record.get("autonomous_system_number", record.get("asn"))
    written = _ASN.fullmatch(found) if isinstance(found, str) else None
    if written is not None:
        found = int(written[1])
    return found if isinstance(found, int) and 0 < found <= MAX_ASN else 0

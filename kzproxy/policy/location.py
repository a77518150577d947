"""Conditions on where in the world a request comes from, as far as a database of addresses says.

Of an address that is in no country of it nobody can tell.
"""

# ruff: noqa: D102 - what the methods do is said of Condition

import re

from kzproxy.policy.condition import Timeless
from kzproxy.policy.decision import Dependency
from kzproxy.policy.view import RequestView

# ISO 3166-1 alpha-2, as MaxMind DB files have it.
COUNTRY = re.compile(r"[A-Z]{2}")
MAX_ASN = 2**32 - 1  # RFC 6793


class FromCountry(Timeless):
    """The request comes from one of some countries."""

    name = "countries"
    about = Dependency.LOCATION
    depends_on = frozenset({Dependency.LOCATION})

    def __init__(self, countries: frozenset[str]) -> None:
        self._countries = countries

    def value(self, view: RequestView) -> bool | None:
        country = view.attributes.environment.country
        return country in self._countries if country else None

    def asked(self) -> str:
        return f"country {' or '.join(sorted(self._countries))}"

    def found(self, view: RequestView) -> str:
        environment = view.attributes.environment
        if not environment.country:
            return f"nobody knows what country {environment.source_address} is in"
        return f"you come from {environment.country}, by your address {environment.source_address}"


class FromSystem(Timeless):
    """The request comes from one of some autonomous systems: the network of one operator."""

    name = "asns"
    about = Dependency.LOCATION
    depends_on = frozenset({Dependency.LOCATION})

    def __init__(self, numbers: frozenset[int]) -> None:
        self._numbers = numbers

    def value(self, view: RequestView) -> bool | None:
        number = view.attributes.environment.asn
        return number in self._numbers if number else None

    def asked(self) -> str:
        return f"autonomous system {' or '.join(str(each) for each in sorted(self._numbers))}"

    def found(self, view: RequestView) -> str:
        environment = view.attributes.environment
        if not environment.asn:
            return f"nobody knows what autonomous system {environment.source_address} is in"
        return f"you come from {environment.asn}, by your address {environment.source_address}"

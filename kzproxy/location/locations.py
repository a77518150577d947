"""Where addresses are: asked of the databases once for each, and remembered in bounds."""

from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

from kzproxy.attributes.environment import NOWHERE, Environment, IPAddress, Place
from kzproxy.attributes.identity import Identity
from kzproxy.location.database import Database, DatabaseRefused
from kzproxy.location.fields import asn_in, country_in
from kzproxy.location.settings import LocationSettings

# 250 bytes each.
MOST_REMEMBERED = 16_384


class LocationRefused(Exception):
    """A database that cannot be used.

    Attributes:
        path: Of the file.
    """

    def __init__(self, path: Path, message: str) -> None:
        super().__init__(message)
        self.path = path


class Locations:
    """The databases of one reading of the configuration.

    Attributes:
        revision: Of their content; two of the same say the same.
    """

    __slots__ = ("_countries", "_known", "_systems", "revision")

    def __init__(self, countries: Database[str] | None, systems: Database[int] | None) -> None:
        self._countries = countries
        self._systems = systems
        self._known: dict[IPAddress, Place] = {}
        self.revision = tuple(
            None if each is None else each.revision for each in (countries, systems)
        )

    @classmethod
    def load(cls, settings: LocationSettings) -> "Locations":
        """Read the files; takes a second.

        Raises:
            LocationRefused: One cannot be used.
        """
        path = settings.database or settings.asn_database or Path()
        try:
            countries, systems = None, None
            if settings.database is not None:
                countries = Database.load(settings.database, country_in, "countries")
            if settings.asn_database is not None:
                path = settings.asn_database
                systems = Database.load(path, asn_in, "autonomous systems")
        except DatabaseRefused as error:
            raise LocationRefused(path, str(error)) from error
        return cls(countries, systems)

    def place(self, address: IPAddress) -> Place:
        """Return where an address is."""
        place = self._known.get(address)
        if place is None:
            if len(self._known) >= MOST_REMEMBERED:
                self._known.clear()
            place = self._known[address] = self._look_up(address)
        return place

    def located(self, environment: Environment, subject: Identity) -> Environment:
        """Return the environment with where it is said to be; the same where it is that already."""
        place = self.place(environment.source_address)
        signed_in = self._country(subject.signed_in_from)
        seen = self._country(subject.seen_from)
        if _places(environment) == (place.country, place.asn, signed_in, seen):
            return environment
        return replace(
            environment,
            country=place.country,
            asn=place.asn,
            sign_in_country=signed_in,
            seen_country=seen,
        )

    def _country(self, address: str) -> str:
        return self.place(ip_address(address)).country if address else ""

    def _look_up(self, address: IPAddress) -> Place:
        country = self._countries.of(address) if self._countries is not None else None
        asn = self._systems.of(address) if self._systems is not None else None
        return Place(country=country or "", asn=asn or 0) if country or asn else NOWHERE


def _places(environment: Environment) -> tuple[str, int, str, str]:
    e = environment
    return e.country, e.asn, e.sign_in_country, e.seen_country

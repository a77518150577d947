"""Where addresses are: asked of the databases once for each, and remembered in bounds."""

from ipaddress import ip_address
from pathlib import Path

from msgspec.structs import replace

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
        countries: Says in what country addresses are; None where nothing does.
        systems: Says in what autonomous system; None where nothing does.
        revision: Of their content; two of the same say the same.
    """

    __slots__ = ("_known", "countries", "revision", "systems")

    def __init__(self, countries: Database[str] | None, systems: Database[int] | None) -> None:
        self.countries = countries
        self.systems = systems
        self._known: dict[IPAddress, Place] = {}
        self.revision = tuple(
            None if each is None else each.revision for each in (countries, systems)
        )

    @classmethod
    def load(cls, settings: LocationSettings, before: "Locations | None" = None) -> "Locations":
        """Read the files; takes a while.

        Args:
            settings: Which.
            before: What was read before; what has not changed is taken over, and all of it with
                what it remembers where nothing has.

        Raises:
            LocationRefused: One cannot be used.
        """
        path = settings.database or settings.asn_database or Path()
        try:
            was_countries, was_systems = None, None
            if before is not None:
                was_countries, was_systems = before.countries, before.systems
            countries, systems = None, None
            if settings.database is not None:
                countries = Database.load(settings.database, country_in, "countries", was_countries)
            if settings.asn_database is not None:
                path = settings.asn_database
                systems = Database.load(path, asn_in, "autonomous systems", was_systems)
        except DatabaseRefused as error:
            raise LocationRefused(path, str(error)) from error
        loaded = cls(countries, systems)
        return before if before is not None and before.revision == loaded.revision else loaded

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
        country = self.countries.of(address) if self.countries is not None else None
        asn = self.systems.of(address) if self.systems is not None else None
        return Place(country=country or "", asn=asn or 0) if country or asn else NOWHERE


def _places(environment: Environment) -> tuple[str, int, str, str]:
    e = environment
    return e.country, e.asn, e.sign_in_country, e.seen_country

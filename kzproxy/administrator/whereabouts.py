"""Brings up to date where requests under way come from, when the databases change."""

from datetime import datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.environment import Environment

if TYPE_CHECKING:  # the reader of databases is for those who name one
    from kzproxy.location.locations import Locations


class Whereabouts:
    """The databases in force. A ``Restates``."""

    def __init__(self) -> None:
        self._locations: Locations | None = None
        self._is_needed = False

    def is_first(self, locations: "Locations | None") -> bool:
        """Whether these are the first that are installed: who has none need not ask."""
        before, self._is_needed = self._is_needed, self._is_needed or locations is not None
        return self._is_needed and not before

    def install(self, locations: "Locations | None") -> bool:
        """Go by these from now on; whether they may say other than those before."""
        before, self._locations = self._locations, locations
        if before is None or locations is None:
            return before is not locations
        return before.revision != locations.revision

    def restate(self, attributes: Attributes, now: datetime) -> Attributes:  # noqa: ARG002 - theirs
        """Return the facts with country and autonomous system as they are known now."""
        before, known = attributes.environment, self._locations
        environment = (
            _nowhere(before) if known is None else known.located(before, attributes.subject)
        )
        return attributes if environment is before else replace(attributes, environment=environment)


def _nowhere(environment: Environment) -> Environment:
    """Return the environment as it is where no database is."""
    said = (environment.country, environment.asn, environment.sign_in_country)
    if said == ("", 0, "") and not environment.seen_country:
        return environment
    return replace(environment, country="", asn=0, sign_in_country="", seen_country="")

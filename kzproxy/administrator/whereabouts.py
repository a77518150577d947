"""Brings up to date where requests under way come from, when the databases change."""

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.environment import NOWHERE

if TYPE_CHECKING:  # the reader of databases is for those who name one
    from kzproxy.location.locations import Locations


class Whereabouts:
    """The databases in force. A ``Restates``."""

    def __init__(self) -> None:
        self._locations: Locations | None = None

    def install(self, locations: "Locations | None") -> bool:
        """Go by these from now on; whether they may say other than those before."""
        before, self._locations = self._locations, locations
        if before is None or locations is None:
            return before is not locations
        return before.revision != locations.revision

    def restate(self, attributes: Attributes, now: datetime) -> Attributes:  # noqa: ARG002 - theirs
        """Return the facts with country and autonomous system as they are known now."""
        environment, known = attributes.environment, self._locations
        place = NOWHERE if known is None else known.place(environment.source_address)
        if (environment.country, environment.asn) == (place.country, place.asn):
            return attributes
        environment = replace(environment, country=place.country, asn=place.asn)
        return replace(attributes, environment=environment)

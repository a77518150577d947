"""The demo's sample: a policy with four roles, and what it needs in the cluster."""

import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, time
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

NAME_PREFIX = "kzproxy-demo:"
"""Stands before every user and group of the demo provider, in policy and in RBAC."""

LABEL = "app.kubernetes.io/part-of=kzproxy-demo"
OPENS = time(7, 0)
CLOSES = time(20, 0)

_LAST_WORKING_DAY = 4
_ZONE_LINK = Path("/etc/localtime")
_ZONE_TREE = "zoneinfo/"
_NO_ZONES = frozenset({"Factory", "localtime", "posixrules"})  # in the tree, and no places


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespaces:
    """Where the roles work, and the pod that runs in each."""

    dev: str = "dev"
    prod: str = "prod"
    dev_pod: str = "web"
    prod_pod: str = "shop"


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkingHours:
    """When ``operator`` may work in prod: weekdays, 07:00 to 20:00 in the machine's time zone."""

    zone_name: str

    def open_at(self, moment: datetime) -> bool:
        """Return whether ``moment`` (aware) is within them."""
        local = moment.astimezone(zoneinfo.ZoneInfo(self.zone_name))
        return local.weekday() <= _LAST_WORKING_DAY and OPENS <= local.time() < CLOSES

    def __str__(self) -> str:
        """Return them for people."""
        return f"Mon-Fri {OPENS:%H:%M}-{CLOSES:%H:%M} {self.zone_name}"


def machine_zone(environment: Mapping[str, str], link: Path = _ZONE_LINK) -> str:
    """Return the IANA name of the machine's time zone; ``UTC`` where it has none that is known.

    Args:
        environment: Its ``TZ`` counts first.
        link: The machine's setting, which leads into the zone database.
    """
    known = zoneinfo.available_timezones() - _NO_ZONES
    named = environment.get("TZ", "").removeprefix(":")
    linked = str(link.resolve()).partition(_ZONE_TREE)[2]
    return next((zone for zone in (named, linked) if zone in known), "UTC")


class Sample:
    """Writes out the sample for one demo."""

    def __init__(self, hours: WorkingHours, namespaces: Namespaces) -> None:
        self.hours = hours
        self.namespaces = namespaces
        self._environment = Environment(
            loader=FileSystemLoader(Path(__file__).with_name("manifests")),
            autoescape=False,  # noqa: S701 YAML, from values of our own
            undefined=StrictUndefined,
            trim_blocks=True,
            keep_trailing_newline=True,
        )

    def policy(self) -> str:
        """Return the AccessPolicy."""
        return self._rendered(
            "policy.yaml.j2",
            time_zone=self.hours.zone_name,
            opens=f"{OPENS:%H:%M}",
            closes=f"{CLOSES:%H:%M}",
        )

    def cluster(self) -> str:
        """Return the namespaces and the rights of the demo's groups."""
        return self._rendered("cluster.yaml.j2")

    def pods(self, *, node_name: str) -> str:
        """Return the pods.

        Args:
            node_name: Where they run; empty leaves it to a scheduler.
        """
        places = self.namespaces
        pods = ((places.dev, places.dev_pod), (places.prod, places.prod_pod))
        return self._rendered("pods.yaml.j2", pods=pods, node_name=node_name)

    def _rendered(self, template: str, **values: object) -> str:
        key, _, value = LABEL.partition("=")
        return self._environment.get_template(template).render(
            prefix=NAME_PREFIX,
            labels=f"{{{key}: {value}}}",
            dev=self.namespaces.dev,
            prod=self.namespaces.prod,
            **values,
        )

"""The public holidays that a calendar leaves out, by the optional package ``holidays``."""

import importlib
from datetime import date
from typing import Any

from kzproxy.config.document import Node
from kzproxy.policy.calendar import Holidays

_EXTRA = "pip install 'kzproxy[holidays]'"


def read_holidays(node: Node) -> Holidays | None:
    """Read ``holidays``: a country and, where it matters, a part of it."""
    fields = node.mapping(required=("country",), optional=("subdivision",))
    country = fields["country"].string()
    subdivision = fields["subdivision"].string() if "subdivision" in fields else ""
    if not country:
        return None
    try:
        package: Any = importlib.import_module("holidays")
    except ImportError:
        node.mistake(f"holidays need the package `holidays`, which is not installed: {_EXTRA}")
        return None
    try:
        days = package.country_holidays(country, subdiv=subdivision or None)
    except NotImplementedError:
        where = f"{country} {subdivision}".strip()
        node.mistake(f"{where} is no country or part of one that `holidays` knows, such as CZ")
        return None

    def include(day: date) -> bool:
        return day in days

    return Holidays(country=country, subdivision=subdivision, include=include)

"""Whom providers are asked about."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AskedDevice:
    """A device that a provider is asked about.

    Attributes:
        id: Its name here.
        serial: As it was when it was approved; may be empty.
    """

    id: str
    serial: str = ""

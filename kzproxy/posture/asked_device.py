"""Whom providers are asked about."""

import msgspec


class AskedDevice(msgspec.Struct, frozen=True, kw_only=True):
    """A device that a provider is asked about.

    Attributes:
        id: Its name here.
        serial: As an administrator or the CA of an MDM has confirmed it; empty where nobody has,
            for what a device says of itself may be another one's.
    """

    id: str
    serial: str = ""

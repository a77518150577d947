"""What an operator sets; apart, because the reader of databases is for those who name one."""

from pathlib import Path

import msgspec


class LocationSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The databases that the operator names; None where one is not named."""

    database: Path | None = None
    asn_database: Path | None = None

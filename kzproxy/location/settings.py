"""What an operator sets; apart, because the reader of databases is for those who name one."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class LocationSettings:
    """The databases that the operator names; None where one is not named."""

    database: Path | None = None
    asn_database: Path | None = None

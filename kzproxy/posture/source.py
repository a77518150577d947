"""Whose word it is, and what it is worth."""

from enum import StrEnum


class SourceKind(StrEnum):
    """How something came to be known, from the least: a device's own word costs it nothing."""

    SELF = "self"
    SELF_KEY = "self+key"
    SELF_TPM = "self+tpm"
    MDM = "mdm-api"
    EDR = "edr-api"

    @property
    def rank(self) -> int:
        """What it is worth; those who manage a device and those who guard it are worth the same."""
        return _RANKS[self]


_RANKS = {
    SourceKind.SELF: 0,
    SourceKind.SELF_KEY: 1,
    SourceKind.SELF_TPM: 2,
    SourceKind.MDM: 3,
    SourceKind.EDR: 3,
}

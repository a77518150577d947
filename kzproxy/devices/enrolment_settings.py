"""What is asked of whoever enrols a device; apart, for a configuration that needs no more."""

import msgspec


class EnrolmentSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked of whoever enrols.

    Attributes:
        approve_groups: Whose devices policy approves by itself.
        per_user: How many devices a person may have.
    """

    approve_groups: frozenset[str] = frozenset()
    per_user: int = 5

"""What operators decide about posture."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import msgspec

from kzproxy.posture.source import SourceKind

DEFAULT_TTL = timedelta(hours=1)
TTL: Mapping[str, timedelta] = {
    "disk_encrypted": timedelta(hours=24),
    "edr_running": timedelta(minutes=15),
    "firewall": timedelta(minutes=15),
}
"""How long a word about a check holds, where that is not ``DEFAULT_TTL``."""

OS = "os"
"""Which system it is holds for as long as a check of that name would."""

Scalar = str | int | float | bool | None


class MappedCheck(msgspec.Struct, frozen=True, kw_only=True):
    """Where a provider's answer says whether a check passed.

    Attributes:
        pointer: JSON Pointer (RFC 6901).
        passed: The values that mean so.
        failed: The values that mean so; any other value means that it is not known.
    """

    pointer: str
    passed: tuple[Scalar, ...]
    failed: tuple[Scalar, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderSettings:
    """Somebody who knows devices, over HTTP.

    Attributes:
        name: What its word is called.
        kind: ``MDM`` or ``EDR``.
        url: With ``{id}`` or ``{serial}`` where those of a device go.
        authority_pem: Its CA; empty for the system's.
        headers_file: Headers to send, one a line, read anew for each round; None for none.
        every: How often each device is asked about.
        checks: By name.
        observed_at: Pointer to when it knew; empty where its answer is of now.
        os: Pointer to the operating system's ID; may be empty.
        os_version: Pointer to its version; may be empty.
    """

    name: str
    kind: SourceKind
    url: str
    authority_pem: str = field(default="", repr=False)
    headers_file: Path | None = None
    every: timedelta = timedelta(minutes=5)
    checks: tuple[tuple[str, MappedCheck], ...]
    observed_at: str = ""
    os: str = ""
    os_version: str = ""


class PostureSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How posture is judged, and whose word is asked for.

    Attributes:
        ttl: How long a word holds, by check; ``TTL`` for those that are not named.
        default_ttl: For those that are named nowhere.
        patch_days: ``patched`` passes where packages were installed at most so many days ago.
        screen_lock: ``screen_lock`` fails where the screen takes longer; None: as long as it likes.
        providers: Beside the devices themselves.
    """

    ttl: tuple[tuple[str, timedelta], ...] = ()
    default_ttl: timedelta = DEFAULT_TTL
    patch_days: int = 30
    screen_lock: timedelta | None = None
    providers: tuple[ProviderSettings, ...] = ()

    def ttl_of(self, check: str) -> timedelta:
        """Return how long a word about ``check`` holds."""
        for name, ttl in self.ttl:
            if name == check:
                return ttl
        return TTL.get(check, self.default_ttl)

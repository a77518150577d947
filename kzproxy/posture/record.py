"""What is kept of a device's posture: the newest word of each source."""

from datetime import datetime, timedelta

import msgspec

from kzproxy.attributes.device import Fact
from kzproxy.posture.source import SourceKind
from kzproxy.store.store import Put

KIND = "posture"

KEPT = timedelta(days=90)
"""For `kzproxy device show`, and to see whether a device that comes back is still the same; what it
says counts for no longer than its time."""

_encoder = msgspec.json.Encoder()


class KeptCheck(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a source says of one check.

    Attributes:
        fact: As it is judged.
        why: As the source explains it; may be empty.
        observed_at: Where it was not observed with the rest, but before: the newest report did not
            speak of it.
    """

    fact: Fact
    why: str = ""
    observed_at: datetime | None = None


class PostureRecord(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One source's word about one device.

    Attributes:
        device_id: Whose.
        source: ``self+key``, or the name of a provider.
        kind: What its word is worth.
        observed_at: Aware, UTC, by our clock.
        checks: By name.
        os: The operating system's ID; empty where it does not say.
        os_version: As the system says itself.
        marks: What a device keeps for life, by name, as digests that say nothing to others.
        drift: Which of them is not as it was at first; empty where all are.
    """

    device_id: str
    source: str
    kind: SourceKind
    observed_at: datetime
    checks: dict[str, KeptCheck]
    os: str = ""
    os_version: str = ""
    marks: dict[str, str] = {}
    drift: str = ""

    def observed(self, check: str) -> datetime:
        """Return when a check was observed."""
        return self.checks[check].observed_at or self.observed_at

    @property
    def key(self) -> str:
        """Under which it is kept."""
        return f"{self.device_id}/{self.source}"


_decoder = msgspec.json.Decoder(PostureRecord)


def posture_put(record: PostureRecord) -> Put:
    """Return the write that keeps ``record``."""
    return Put(
        kind=KIND,
        key=record.key,
        value=_encoder.encode(record),
        expires_at=record.observed_at + KEPT,
    )


def decoded_posture(value: bytes) -> PostureRecord:
    """Return what an entry of this value keeps."""
    return _decoder.decode(value)

"""From what device."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Fact(StrEnum):
    """A three-valued fact: what is not known has not passed."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class DevicePosture:
    """What is known of the calling device.

    Attributes:
        enrolled: Whether a valid certificate of the device CA was presented.
        device_id: The certificate's name for the device; empty unless ``enrolled`` passed.
        thumbprint: SHA-256 of the certificate, hex; empty where none was presented.
        reason: Why ``enrolled`` is not ``passed``, with the mend, for the user.
        expires_at: End of the certificate, where one was presented.
        vouched_by: SHA-256 of the configured CA certificate that the certificate led to, hex; empty
            unless ``enrolled`` passed.
    """

    enrolled: Fact
    device_id: str = ""
    thumbprint: str = ""
    reason: str = ""
    expires_at: datetime | None = None
    vouched_by: str = ""


NO_DEVICE = DevicePosture(
    enrolled=Fact.UNKNOWN,
    reason="no device certificate was presented; use a kubeconfig made by `kzproxy kubeconfig`"
    " with --device-cert and --device-key",
)

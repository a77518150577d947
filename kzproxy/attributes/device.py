"""From what device."""

from datetime import datetime
from enum import StrEnum

import msgspec


class Fact(StrEnum):
    """A three-valued fact: what is not known has not passed."""

    PASSED = "passed"
    FAILED = "failed"
    UNKNOWN = "unknown"


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one thing about a device, such as whether its disk is encrypted.

    Attributes:
        fact: As it was observed; from ``expires_at`` on it is unknown.
        observed_at: Aware, UTC; when the source said so.
        expires_at: Aware, UTC.
        source: Who says so: ``self``, ``self+key`` or the name of a provider.
    """

    fact: Fact
    observed_at: datetime
    expires_at: datetime
    source: str


# By the names of the checks, sorted.
Checks = tuple[tuple[str, CheckResult], ...]


class DevicePosture(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of the calling device.

    Attributes:
        enrolled: Whether a valid certificate of the device CA was presented.
        device_id: The certificate's name for the device; empty unless ``enrolled`` passed.
        thumbprint: SHA-256 of the certificate, hex; empty where none was presented.
        key_thumbprint: SHA-256 of the certificate's public key (DER SubjectPublicKeyInfo), hex;
            certificates are renewed, the key stays. Empty where there is none that can be read.
        serial: The certificate's serial number, lower-case hex; empty where none was read.
        reason: Why ``enrolled`` is not ``passed``, with the mend, for the user.
        expires_at: End of the certificate, where one was presented.
        vouched_by: SHA-256 of the configured CA certificate that the certificate led to, hex; empty
            unless ``enrolled`` passed.
        state: What kzproxy's registry has it as: ``approved``, ``pending`` or ``blocked``; empty
            where it does not know it, as with a device of another's CA.
        owner: The username that enrolled it; empty where nobody is known to have.
        managed: Whether the organisation manages it.
        checks: What is known of its state.
        os: The operating system's ID, such as ``ubuntu`` or ``macos``; empty where unknown.
        os_version: As it says itself; empty where unknown.
        observed_at: When the newest report was made; None where there is none.
        risk: ``LOW``, ``MEDIUM`` or ``HIGH`` as somebody who is believed says; empty where nobody.
    """

    enrolled: Fact
    device_id: str = ""
    thumbprint: str = ""
    key_thumbprint: str = ""
    serial: str = ""
    reason: str = ""
    expires_at: datetime | None = None
    vouched_by: str = ""
    state: str = ""
    owner: str = ""
    managed: Fact = Fact.UNKNOWN
    checks: Checks = ()
    os: str = ""
    os_version: str = ""
    observed_at: datetime | None = None
    risk: str = ""


NO_DEVICE = DevicePosture(
    enrolled=Fact.UNKNOWN,
    reason="no device certificate was presented; use a kubeconfig made by `kzproxy kubeconfig`"
    " with --device-cert and --device-key",
)

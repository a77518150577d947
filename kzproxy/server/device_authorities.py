"""Who vouches for devices, and what kzproxy itself vouches with."""

from typing import TYPE_CHECKING

from kzproxy.attributes.device import Fact
from kzproxy.clock.system import Clock
from kzproxy.config.devices import DeviceSettings, IssuingSettings
from kzproxy.devices.device_certificate import DeviceAuthority
from kzproxy.errors.configuration import ConfigurationError, Mistake

if TYPE_CHECKING:
    from kzproxy.devices.issuing import CertificateIssuer


def device_authority(settings: DeviceSettings) -> DeviceAuthority | None:
    """Return who vouches for devices; None where the operator names nobody.

    Raises:
        ConfigurationError: What is named is no authority.
    """
    files = (settings.authority_file, settings.managed_authority_file)
    if files == (None, None):
        return None
    named = ", ".join(str(file) for file in files if file is not None)
    try:
        return DeviceAuthority(*(None if file is None else file.read_bytes() for file in files))
    except (OSError, ValueError) as error:
        raise _mistake(named, f"is not a bundle of CA certificates: {error}") from error


def certificate_issuer(
    settings: IssuingSettings | None, authority: DeviceAuthority | None, clock: Clock
) -> "CertificateIssuer | None":
    """Return what certificates are issued with; None where none are.

    Raises:
        ConfigurationError: It cannot issue any that ``authority`` believes.
    """
    if settings is None or authority is None:
        return None
    from kzproxy.devices.issuing import CertificateIssuer  # for those who issue alone

    source = str(settings.certificate_file)
    try:
        issuer = CertificateIssuer(
            settings.certificate_file.read_bytes(),
            settings.private_key_file.read_bytes(),
            lifetime=settings.lifetime,
        )
        sample = issuer.sample(clock.now())
    except (OSError, ValueError) as error:
        raise _mistake(source, f"does not serve to issue certificates: {error}") from error
    posture = authority.assess(authority.read(sample), clock.now())
    if posture.enrolled is not Fact.PASSED or posture.managed is Fact.PASSED:
        raise _mistake(
            source, "must lead to devices.certificateAuthorityFile, by which devices are believed"
        )
    return issuer


def _mistake(source: str, message: str) -> ConfigurationError:
    return ConfigurationError([Mistake(source=source, message=message)])

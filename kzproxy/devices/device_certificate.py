"""The device's name, from a client certificate of the device CA or of an MDM's.

TLS has verified the chain before it is read here, but without looking at the time: the listener
sets ``X509_V_FLAG_NO_CHECK_TIME``, so that an expired certificate is a refusal that names its mend
and not a broken handshake, and so that a certificate which ends during a connection ends there.
The time is therefore judged on every request. The chain is checked against the device CA once more:
a listener that trusts another CA by mistake must not enrol that CA's certificates as devices.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from msgspec.structs import replace

from kzproxy.attributes.device import NO_DEVICE, DevicePosture, Fact
from kzproxy.devices.certificate_reading import (
    Fault,
    bundle,
    certificates_of,
    check_issued,
    client_extensions,
    device_named,
    extensions_of,
    fingerprint,
    held_by,
    is_authority,
    one_after_the_other,
    thumbprint_of_key,
    urn_names,
)
from kzproxy.devices.names import CLIENT_URN, DEVICE_URN

# Of some hundred bytes each, beside the chain's own kilobytes, which live as long.
_MAX_REMEMBERED = 4096

_ENROL_AGAIN = "enrol the device again, or ask your administrator for a new device certificate"
_ENROL = "this machine is not enrolled as a device; enrol it with `kzproxy device enroll`"
_SIGN_IN_AGAIN = "sign in again with `kzproxy login`, which brings a new one"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceCertificate:
    """A client certificate as it was read.

    Attributes:
        device_id: The device's name; empty where ``fault`` is not.
        thumbprint: SHA-256 of the certificate, hex. It binds a token (RFC 8705 section 3.1), and
            must not be what a revocation names: an ECDSA signature has a second form that also
            holds, so a certificate's holder can give it a second thumbprint.
        key_thumbprint: SHA-256 of its public key, hex; empty where that cannot be read.
        not_before: The latest beginning in the chain; None where it cannot be read.
        not_after: The earliest end in the chain; None where it cannot be read.
        fault: Why it is not a device's, whatever the time is; empty where it is one.
        authority: SHA-256 of the CA certificate that its chain led to, or of the one that has
            renewed it, hex; empty where ``fault`` is not.
        in_time: What it says while the time is right; None where ``fault`` is.
    """

    device_id: str = ""
    thumbprint: str
    key_thumbprint: str = ""
    not_before: datetime | None = None
    not_after: datetime | None = None
    fault: str = ""
    authority: str = ""
    in_time: DevicePosture | None = field(default=None, repr=False)


class DeviceAuthority:
    """Reads and judges certificates of the device CA, and of the CA of an MDM where there is one.

    An MDM's CA vouches for more than the device CA does: its devices are managed. Clients that are
    no devices have certificates too, of the device CA, which say so.

    Remembers what it has read, in bounds: a client comes back with the same certificate, and to
    read one costs more than a whole request.

    Attributes:
        fingerprints: SHA-256 of each of their certificates, hex.
        managed: Those of the MDM's CA.
    """

    def __init__(
        self,
        certificate_authority_pem: bytes | None,
        managed_authority_pem: bytes | None = None,
    ) -> None:
        """Take the CAs' certificates; None where there is no such CA.

        Raises:
            ValueError: There is no certificate in a PEM text, one cannot be read, or one is in
                both.
        """
        self._own, self._foreign = bundle(certificate_authority_pem), bundle(managed_authority_pem)
        self.managed = frozenset(fingerprint(authority) for authority in self._foreign)
        if any(fingerprint(authority) in self.managed for authority in self._own):
            raise ValueError("the same certificate is in both CAs")
        self._authorities = self._own + self._foreign
        self._read_before: dict[tuple[bytes, ...], DeviceCertificate] = {}
        self.fingerprints = frozenset(fingerprint(authority) for authority in self._authorities)

    def read(self, chain: tuple[bytes, ...]) -> DeviceCertificate | None:
        """Read the verified chain, DER, leaf first, with or without its root.

        Returns:
            None where the client presented no certificate.
        """
        if not chain:
            return None
        known = self._read_before.get(chain)
        if known is None:
            known = self._read(chain)
            if len(self._read_before) >= _MAX_REMEMBERED:
                self._read_before.clear()
            self._read_before[chain] = known
        return known

    def _read(self, chain: tuple[bytes, ...]) -> DeviceCertificate:
        thumbprint = hashlib.sha256(chain[0]).hexdigest()
        key = ""
        try:
            certificates = certificates_of(chain)
            key = thumbprint_of_key(certificates[0])
            *path, root = self._path(certificates)
            held = self._held_by(root)
            authority = fingerprint(held[0])
            device_id = self._holder(path[0], authority)
        except Fault as fault:
            return DeviceCertificate(thumbprint=thumbprint, key_thumbprint=key, fault=str(fault))
        begins, ends = one_after_the_other(held)
        not_after = min(ends, *(certificate.not_valid_after_utc for certificate in path))
        known = DevicePosture(
            enrolled=Fact.UNKNOWN,
            thumbprint=thumbprint,
            key_thumbprint=key,
            serial=f"{path[0].serial_number:x}",
            reason=_ENROL,
            expires_at=not_after,
        )
        return DeviceCertificate(
            device_id=device_id,
            thumbprint=thumbprint,
            key_thumbprint=key,
            not_before=max(begins, *(certificate.not_valid_before_utc for certificate in path)),
            not_after=not_after,
            authority=authority,
            in_time=self._vouched_for(known, device_id, authority) if device_id else known,
        )

    def _holder(self, certificate: x509.Certificate, authority: str) -> str:
        """Return the name of the device that holds it; empty where a client does that is none."""
        extensions = client_extensions(certificate)
        if authority not in self.managed and urn_names(extensions, CLIENT_URN):
            if urn_names(extensions, DEVICE_URN):
                raise Fault("the client certificate names a device, and a client that is none")
            return ""
        return device_named(certificate, extensions)

    def _vouched_for(self, known: DevicePosture, device_id: str, authority: str) -> DevicePosture:
        return replace(
            known,
            enrolled=Fact.PASSED,
            device_id=device_id,
            reason="",
            vouched_by=authority,
            managed=Fact.PASSED if authority in self.managed else Fact.UNKNOWN,
        )

    def posture(self, chain: tuple[bytes, ...], now: datetime) -> DevicePosture:
        """Do as ``read`` and ``assess`` do, one after the other; quickly where all is well."""
        known = self._read_before.get(chain)
        if known is not None and known.in_time is not None and not known.fault:
            begins, ends = known.not_before, known.not_after
            if begins is not None and ends is not None and begins <= now <= ends:
                return known.in_time
        return self.assess(self.read(chain), now)

    def assess(self, certificate: DeviceCertificate | None, now: datetime) -> DevicePosture:
        """Judge a certificate for one request; ``now`` is aware."""
        if certificate is None:
            return NO_DEVICE
        fault = certificate.fault or _time_fault(certificate, now)
        if not fault and certificate.in_time is not None:
            return certificate.in_time
        is_client = not certificate.fault and not certificate.device_id
        mend = _SIGN_IN_AGAIN if is_client else _ENROL_AGAIN
        return DevicePosture(
            enrolled=Fact.FAILED,
            thumbprint=certificate.thumbprint,
            key_thumbprint=certificate.key_thumbprint,
            reason=f"{fault or 'the client certificate was not judged'}; {mend}",
            expires_at=certificate.not_after,
        )

    def _path(self, certificates: Sequence[x509.Certificate]) -> list[x509.Certificate]:
        """Return leaf to authority, each signed by the next."""
        path = [certificates[0]]
        for issuer in certificates[1:]:
            if path[-1] in self._authorities:
                break
            check_issued(path[-1], issuer)
            if not is_authority(extensions_of(issuer)):
                raise Fault("the client certificate was issued by one that is no authority")
            path.append(issuer)
        if path[-1] not in self._authorities:
            path.append(self._authority_of(path[-1]))
        if len(path) == 1:
            raise Fault("the certificate presented is the device CA's own")
        return path

    def _held_by(self, authority: x509.Certificate) -> list[x509.Certificate]:
        """Return an authority's configured certificates; it may have been renewed.

        TLS does not look at the time, and leads to any of them. What is an MDM's stays an MDM's.
        """
        return held_by(authority, self._foreign if authority in self._foreign else self._own)

    def _authority_of(self, certificate: x509.Certificate) -> x509.Certificate:
        for authority in self._authorities:
            try:
                check_issued(certificate, authority)
            except Fault:
                continue
            return authority
        raise Fault("the client certificate is not from the device CA")


def _time_fault(certificate: DeviceCertificate, now: datetime) -> str:
    if certificate.not_before is None or certificate.not_after is None:
        return "the client certificate's validity cannot be read"
    what = "device certificate" if certificate.device_id else "client certificate"
    if now < certificate.not_before:
        return (
            f"the {what} is valid only from {_shown(certificate.not_before)} on; compare the clocks"
        )
    if now > certificate.not_after:
        return f"the {what} expired at {_shown(certificate.not_after)}"
    return ""


def _shown(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")

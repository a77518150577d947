"""The device's certificate and key as files. Part of a warm run: see ``plugin_settings``."""

import binascii
from datetime import UTC, datetime

from kzproxy.client.bounded_file import read_bounded
from kzproxy.client.failure import ClientFailure

MAX_PEM_BYTES = 256 * 1024

# The last part of a certificate's life in which it is worth a warning.
NEAR_END_FRACTION = 0.1

_BEGIN = "-----BEGIN CERTIFICATE-----"
_END = "-----END CERTIFICATE-----"

# DER tags (X.690): SEQUENCE, [0] EXPLICIT, UTCTime.
_SEQUENCE, _VERSION, _UTC_TIME = 0x30, 0xA0, 0x17
_TIME_TAGS = (_UTC_TIME, 0x18)


class DeviceFiles:
    """A device certificate with its key, and when it holds.

    Attributes:
        certificate: PEM, the leaf first.
        key: PEM.
        begins_at: Unix seconds of the leaf.
        ends_at: Unix seconds of the leaf.
    """

    __slots__ = ("begins_at", "certificate", "ends_at", "key")

    def __init__(self, *, certificate: str, key: str, begins_at: int, ends_at: int) -> None:
        self.certificate = certificate
        self.key = key
        self.begins_at = begins_at
        self.ends_at = ends_at

    def warning(self, now_seconds: float) -> str:
        """Return a line for the user where the certificate's end is near; empty otherwise."""
        remaining = self.ends_at - now_seconds
        if remaining <= 0:
            return "the device certificate has ended; enrol this device again"
        if remaining < (self.ends_at - self.begins_at) * NEAR_END_FRACTION:
            return f"the device certificate ends in {_span(remaining)}; have it renewed"
        return ""


def read_device_files(certificate_path: str, key_path: str) -> DeviceFiles:
    """Read both files; that they belong together was checked when the kubeconfig was written.

    Raises:
        ClientFailure: A file cannot be read or is not what it should be.
    """
    certificate = _pem(certificate_path, "device certificate", _BEGIN)
    key = read_device_key(key_path)
    try:
        begins_at, ends_at = _validity(_leaf(certificate))
    except (ValueError, IndexError):
        message = f"the device certificate {certificate_path} cannot be read: it is not valid PEM"
        raise ClientFailure(message) from None
    return DeviceFiles(certificate=certificate, key=key, begins_at=begins_at, ends_at=ends_at)


def read_device_key(path: str) -> str:
    """Return the device's key, PEM.

    Raises:
        ClientFailure: It cannot be read or is not what it should be.
    """
    return _pem(path, "device key", "PRIVATE KEY-----")


def certificate_validity(pem: str) -> tuple[int, int]:
    """Return between which Unix seconds the first certificate of ``pem`` holds.

    Raises:
        ClientFailure: There is none that can be read.
    """
    try:
        return _validity(_leaf(pem))
    except (ValueError, IndexError):
        raise ClientFailure("the server's certificate for this client cannot be read") from None


def _pem(path: str, what: str, marker: str) -> str:
    text = read_bounded(path, MAX_PEM_BYTES, f"the {what}").decode("ascii", "replace")
    if marker not in text:
        raise ClientFailure(f"the {what} {path} is not a PEM file of that kind")
    return text


def _leaf(pem: str) -> bytes:
    begin = pem.index(_BEGIN) + len(_BEGIN)
    return binascii.a2b_base64(pem[begin : pem.index(_END, begin)])


def _validity(der: bytes) -> tuple[int, int]:
    """Return notBefore and notAfter of a DER certificate (RFC 5280 section 4.1).

    Walked by hand, because cryptography and ssl take longer to import than the plugin to run.
    """
    certificate = _body(der, 0, _SEQUENCE)
    to_be_signed = _body(certificate, 0, _SEQUENCE)
    at = 0
    if to_be_signed[at] == _VERSION:
        at = _after(to_be_signed, at)
    for _ in ("serialNumber", "signature", "issuer"):
        at = _after(to_be_signed, at)
    validity = _body(to_be_signed, at, _SEQUENCE)
    return _time(validity, 0), _time(validity, _after(validity, 0))


def _bounds(der: bytes, at: int) -> tuple[int, int]:
    length, start = der[at + 1], at + 2
    if length & 0x80:
        size = length & 0x7F
        length, start = int.from_bytes(der[start : start + size], "big"), start + size
    if start + length > len(der):
        raise ValueError("DER element over its end")
    return start, start + length


def _body(der: bytes, at: int, tag: int) -> bytes:
    if der[at] != tag:
        raise ValueError("unexpected DER tag")
    start, end = _bounds(der, at)
    return der[start:end]


def _after(der: bytes, at: int) -> int:
    return _bounds(der, at)[1]


def _time(der: bytes, at: int) -> int:
    """Return Unix seconds of a UTCTime or GeneralizedTime (RFC 5280 section 4.1.2.5)."""
    if der[at] not in _TIME_TAGS:
        raise ValueError("unexpected DER tag")
    start, end = _bounds(der, at)
    text = der[start:end].decode("ascii")
    if der[at] == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    parts = [int(text[:4]), *(int(text[index : index + 2]) for index in range(4, 14, 2))]
    year, month, day, hour, minute, second = parts
    return int(datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp())


def _span(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} seconds"

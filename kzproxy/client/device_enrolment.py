"""Having this machine enrolled as a device: its side of kzproxy's ``/devices``."""

import base64
import json
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from kzproxy.client.device_key import DeviceKey, key_id
from kzproxy.client.failure import ClientFailure
from kzproxy.client.issuer_http import Answer, IssuerHttp
from kzproxy.client.notices import visible

PROOF_TYPE = "kzproxy-enrolment+jwt"

_OK = 200
_ACCEPTED = 202
_NOT_FOUND = 404
_MAX_SAID = 1000


class NotEnrolled(ClientFailure):
    """kzproxy knows no device with this machine's key."""


class RequestingKey(DeviceKey, Protocol):
    """A key that can ask for a certificate, too."""

    def certificate_request(self) -> str:
        """Return a request for a certificate (PKCS #10, PEM)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What this machine says of itself."""

    name: str
    serial: str
    platform: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EnrolledDevice:
    """What kzproxy says of it.

    Attributes:
        device_id: Its id.
        state: ``pending`` or ``approved``.
        how: What approved it: ``admin``, ``token`` or ``policy``; empty while nothing has.
        certificate: PEM chain; empty while it is pending.
        ends_at: Of the certificate; None where there is none.
    """

    device_id: str
    state: str
    how: str
    certificate: str
    ends_at: datetime | None

    @property
    def is_approved(self) -> bool:
        """Whether it has a certificate now."""
        return bool(self.certificate)


class DeviceEnrolment:
    """Enrols the holder of one key at one kzproxy."""

    def __init__(self, http: IssuerHttp, url: str, key: RequestingKey) -> None:
        """Take a connection; with the session's certificate where a session token is sent."""
        self._http = http
        self._url = url
        self._key = key

    def enrol(self, machine: Machine, *, session_token: str, one_time: str) -> EnrolledDevice:
        """Ask to be enrolled, or find this machine enrolled already.

        Args:
            machine: What it is called.
            session_token: Of whoever is signed in; empty: nobody.
            one_time: A one-time token; empty: none.

        Raises:
            ClientFailure: It is refused; the message is kzproxy's.
        """
        claims = {"name": machine.name, "serial": machine.serial, "platform": machine.platform}
        form = self._form("enrol", claims)
        if one_time:
            form["token"] = one_time
        authorization = f"Bearer {session_token}" if session_token else ""
        return _read(self._http.post(f"{self._url}/devices", form, authorization))

    def certificate(self) -> EnrolledDevice:
        """Fetch the next certificate, if the device is approved by now.

        Raises:
            NotEnrolled: kzproxy does not know this machine.
            ClientFailure: It is refused; the message is kzproxy's.
        """
        form = self._form("certificate", {})
        return _read(self._http.post(f"{self._url}/devices/certificate", form))

    def _form(self, purpose: str, claims: dict[str, str]) -> dict[str, str]:
        said = {"aud": self._url, "nonce": self._nonce(), "purpose": purpose, **claims}
        return {"csr": self._key.certificate_request(), "proof": _signed(self._key, said)}

    def _nonce(self) -> str:
        answer = self._http.post(f"{self._url}/nonce", {})
        nonce = answer.document.get("nonce")
        if answer.status != _OK or not isinstance(nonce, str):
            raise ClientFailure(f"{self._url} enrols no devices: it has no nonce to give")
        return nonce


def _signed(key: DeviceKey, claims: dict[str, str]) -> str:
    """Return a JWS in the compact form (RFC 7515 section 7.1)."""
    header = {"typ": PROOF_TYPE, "alg": "ES256", "kid": key_id(key)}
    text = ".".join(_encoded(json.dumps(part).encode()) for part in (header, claims))
    return f"{text}.{_encoded(key.sign(text.encode()))}"


def _encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _read(answer: Answer) -> EnrolledDevice:
    document = answer.document
    if answer.status not in (_OK, _ACCEPTED):
        said = visible(str(document.get("error_description") or f"status {answer.status}"))
        kind = NotEnrolled if answer.status == _NOT_FOUND else ClientFailure
        raise kind(f"kzproxy does not enrol this machine: {said[:_MAX_SAID]}")
    ends_at = str(document.get("certificateEndsAt") or "")
    try:
        return EnrolledDevice(
            device_id=str(document["id"]),
            state=str(document["state"]),
            how=str(document.get("how") or ""),
            certificate=str(document.get("certificate") or ""),
            ends_at=datetime.fromisoformat(ends_at) if ends_at else None,
        )
    except (KeyError, ValueError):
        raise ClientFailure("kzproxy's answer about this device cannot be read") from None

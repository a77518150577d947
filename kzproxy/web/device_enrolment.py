"""The enrolment endpoints of the sign-in listener, below ``signIn.url``: /nonce and /devices.

A device proves that it has its key before anything is done: a certificate signing request says
which key, and a proof signed by it answers a nonce of kzproxy's.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import msgspec
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

from kzproxy.audit.visible import visible
from kzproxy.devices.device_record import DeviceRecord
from kzproxy.devices.enrolment import Enrolment
from kzproxy.devices.enrolment_request import Enrolled, Enroller, EnrolmentRequest
from kzproxy.devices.proof import Proof, Purpose, verified_proof
from kzproxy.devices.signing_request import requested_key
from kzproxy.errors.kinds import (
    BadRequest,
    InternalError,
    ProxyError,
    ServiceUnavailable,
    TooManyRequests,
)
from kzproxy.store.nonces import LIFETIME, Nonces
from kzproxy.web.address_limits import AddressLimit
from kzproxy.web.bounded_form import bounded_form
from kzproxy.web.client_certificates import has_certificate
from kzproxy.web.sign_in_desk import address_of, remote

log = logging.getLogger(__name__)

MAX_BODY_BYTES = 16 * 1024

_OK = 200
_ACCEPTED = 202
_SERVERS_FAULT = 500
_ERRORS = {401: "invalid_token", 403: "access_denied", 404: "not_found"}

_Body = TypeVar("_Body", bound=msgspec.Struct)


Handler = Callable[[web.Request], Awaitable[web.Response]]


class Callers(Protocol):
    """Knows who sends a request to the sign-in listener."""

    async def enroller(self, request: web.Request) -> Enroller | None:
        """Return who is signed in by the request's token; None where it has no token.

        Raises:
            ProxyError: The token does not hold.
        """


class EnrolmentBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ``POST /devices`` takes.

    Attributes:
        csr: PEM.
        proof: A JWS by the key; it says the device's name, serial and platform.
        token: A one-time token; may be empty.
    """

    csr: str
    proof: str
    token: str = ""

    def __repr__(self) -> str:
        """Leave the token out."""
        return "EnrolmentBody()"


class CertificateBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What ``POST /devices/certificate`` takes; see ``EnrolmentBody``."""

    csr: str
    proof: str


class DeviceAnswer(msgspec.Struct, frozen=True, rename="camel", omit_defaults=True):
    """What both answer.

    Attributes:
        id: Of the device.
        state: ``pending`` with 202, ``approved`` with 200.
        how: What approved it.
        name: As its owner calls it.
        certificate: PEM; empty while it is pending.
        certificate_ends_at: RFC 3339.
        nonce: For the next proof.
    """

    id: str
    state: str
    how: str = ""
    name: str = ""
    certificate: str = ""
    certificate_ends_at: str = ""
    nonce: str = ""


class NonceAnswer(msgspec.Struct, frozen=True):
    """What ``POST /nonce`` answers; ``expires_in`` is in seconds."""

    nonce: str
    expires_in: int


class Refused(msgspec.Struct, frozen=True):
    """An error, in the form of RFC 6749 section 5.2."""

    error: str
    error_description: str


class EnrolmentParts(msgspec.Struct, frozen=True, kw_only=True):
    """What the handlers work with.

    Attributes:
        enrolment: Returns what enrols now; raises a ``ProxyError`` where nothing does.
        nonces: That proofs are over.
        callers: Knows who asks.
        changed: Told of each device that was enrolled or approved, before that is answered.
        refused: Of requests that an address may send in vain: each costs a look at signatures.
    """

    enrolment: Callable[[], Enrolment]
    nonces: Nonces
    callers: Callers
    changed: Callable[[DeviceRecord], Awaitable[None]]
    refused: AddressLimit


class DeviceEnrolment:
    """The handlers; ``add_to`` mounts them."""

    def __init__(self, parts: EnrolmentParts, *, url: str) -> None:
        """Serve enrolment; ``url`` is the sign-in listener's, without a slash at its end."""
        self._parts = parts
        self._url = url

    def add_to(self, application: web.Application, prefix: str = "") -> None:
        """Serve below ``prefix``, the path of the URL, without a slash at its end."""
        router = application.router
        router.add_post(f"{prefix}/nonce", self._answered(self._nonce))
        router.add_post(f"{prefix}/devices", self._answered(self._enrol))
        router.add_post(f"{prefix}/devices/certificate", self._answered(self._certificate))

    def _answered(self, serve: Handler) -> Handler:
        """Have refusals answered as such, and bugs as 500 without their text."""

        async def answered(request: web.Request) -> web.Response:
            try:
                # Who renews a device's certificate may show it, which strangers cannot.
                self._parts.refused.check(remote(request), is_known=has_certificate(request))
            except TooManyRequests as error:
                return _refusal(error)
            try:
                return await serve(request)
            except ProxyError as error:
                self._note(request, error)
                return _refusal(error)
            except web.HTTPException:
                raise
            except Exception:
                log.exception("bug while serving %s", request.path)
                return _refusal(InternalError("kzproxy failed; the error is in its log"))

        return answered

    def _note(self, request: web.Request, error: ProxyError) -> None:
        if error.detail:
            log.warning("%s: %s: %s", request.path, error.message, error.detail)
        # Who has to wait, or asks while kzproxy cannot, has asked nothing in vain: others behind
        # the same address, who renew their sessions, would wait for it too.
        if not isinstance(error, TooManyRequests | ServiceUnavailable):
            self._parts.refused.count(remote(request))

    async def _nonce(self, _: web.Request) -> web.Response:
        seconds = int(LIFETIME.total_seconds())
        return _json(NonceAnswer(nonce=self._parts.nonces.new(), expires_in=seconds))

    async def _enrol(self, request: web.Request) -> web.Response:
        body, enrolment = await _read(request, EnrolmentBody), self._parts.enrolment()
        enroller = await self._parts.callers.enroller(request)
        key = requested_key(body.csr)
        proof = self._verified(body.proof, key, Purpose.ENROL)
        wanted = EnrolmentRequest(
            key=key,
            name=proof.name,
            serial=proof.serial,
            platform=proof.platform,
            token=body.token,
            enroller=enroller,
            address=address_of(request),
        )
        await enrolment.admit(wanted)
        await self._take(proof)
        return await self._told(await enrolment.enrol(wanted))

    async def _certificate(self, request: web.Request) -> web.Response:
        body, enrolment = await _read(request, CertificateBody), self._parts.enrolment()
        key = requested_key(body.csr)
        proof = self._verified(body.proof, key, Purpose.CERTIFICATE)
        enrolment.admit_key(key)
        await self._take(proof)
        return await self._told(await enrolment.certificate(key, address_of(request)))

    def _verified(self, proof: str, key: ec.EllipticCurvePublicKey, purpose: Purpose) -> Proof:
        return verified_proof(proof, key, audience=self._url, purpose=purpose)

    async def _take(self, proof: Proof) -> None:
        """Use the proof's nonce up."""
        if not await self._parts.nonces.take(proof.nonce):
            raise BadRequest(
                "the proof's nonce was used, is too old or is not kzproxy's; try again"
            )

    async def _told(self, enrolled: Enrolled) -> web.Response:
        record, issued = enrolled.record, enrolled.certificate
        await self._parts.changed(record)
        answer = DeviceAnswer(
            id=record.id,
            state=record.state.value,
            how="" if record.approved_how is None else record.approved_how.value,
            name=record.name,
            certificate="" if issued is None else issued.pem,
            certificate_ends_at="" if issued is None else issued.not_after.isoformat(),
            nonce=self._parts.nonces.new(),
        )
        return _json(answer, status=_ACCEPTED if issued is None else _OK)


def _refusal(error: ProxyError) -> web.Response:
    default = "invalid_request" if error.code < _SERVERS_FAULT else "server_error"
    code = _ERRORS.get(error.code, default)
    response = _json(Refused(error=code, error_description=error.message), status=error.code)
    if error.retry_after_seconds is not None:
        response.headers["Retry-After"] = str(error.retry_after_seconds)
    return response


def _json(value: msgspec.Struct, status: int = _OK) -> web.Response:
    return web.Response(
        status=status,
        body=msgspec.json.encode(value),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


async def _read(request: web.Request, kind: type[_Body]) -> _Body:
    fields = await bounded_form(request, MAX_BODY_BYTES)
    if len(dict(fields)) != len(fields):
        raise BadRequest("the form has a field twice")
    try:
        return msgspec.convert(dict(fields), type=kind)
    except msgspec.ValidationError as error:
        # It names the field, and whoever sent it chose how that is called.
        said = visible(str(error))
        raise BadRequest("the form is not what this endpoint takes", detail=said) from error

"""Who calls, from where and with which device: found out once, and known again afterwards."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from msgspec.structs import replace

from kzproxy.administrator.lease import caller_of
from kzproxy.administrator.restating import StatesDevice
from kzproxy.administrator.sessions import session_id
from kzproxy.attributes.device import NO_DEVICE, DevicePosture
from kzproxy.attributes.identity import Identity
from kzproxy.audit.records import impersonated_identity, recorded_caller
from kzproxy.audit.schema import Impersonated
from kzproxy.authentication.bearer import bearer_token
from kzproxy.authentication.oidc import Authenticates
from kzproxy.authentication.token_memory import token_digest
from kzproxy.devices.device_certificate import DeviceAuthority
from kzproxy.enforcement.case import Case
from kzproxy.enforcement.standing import Standing, Standings
from kzproxy.errors.kinds import Forbidden, Unauthenticated
from kzproxy.http.messages import Headers, RequestHead
from kzproxy.transport.peer import Peer
from kzproxy.upstream.api_server import ApiServer
from kzproxy.upstream.impersonation import (
    DEVICE_EXTRA,
    SESSION_EXTRA,
    Impersonation,
    identity_block,
)

if TYPE_CHECKING:  # for those who keep sessions
    from kzproxy.administrator.kept_signals import KeptSignals
    from kzproxy.administrator.session_directory import SessionDirectory

_BLOCKED = "blocked"  # the word of the registry for a device that is nobody's any more


@dataclass(frozen=True, slots=True, kw_only=True)
class Callers:
    """Authenticates person and device of each request, in one generation of the configuration.

    Attributes:
        devices: None where no device CA is known.
        device_facts: What else is known of devices.
        sessions: None where kzproxy keeps none.
        follows_sessions: Whether any rule asks where a session was seen.
        signals: What others have said of people and devices; None where nobody is listened to.
        api_server: Has kzproxy's own credential.
        send_uid: Whether the uid is sent upstream.
        standings: All who are known. Made anew for each generation, on which they rest too.
    """

    authenticator: Authenticates
    devices: DeviceAuthority | None
    device_facts: tuple[StatesDevice, ...] = ()
    sessions: "SessionDirectory | None" = None
    follows_sessions: bool = False
    signals: "KeptSignals | None" = None
    api_server: ApiServer
    send_uid: bool
    standings: Standings = field(default_factory=Standings, init=False, repr=False)

    def known(self, request: RequestHead, case: Case) -> Standing | None:
        """Return who calls where all that this rests on is as it was when it was found out.

        Raises:
            ProxyError: Whoever it is may not come in.
        """
        case.device = device = self._device(case.peer, case.received_at)
        known = self.standings.get((request.headers, case.peer.whence, device.thumbprint))
        if (
            known is None
            or (known.device is not device and known.device != device)
            or self.authenticator.remembered_by(known.token_digest) is not known.identity
            or self.api_server.authorization() != known.authorization
        ):
            return None
        return self._admitted(known, device, case)

    async def unknown(self, request: RequestHead, case: Case) -> Standing:
        """Find out who calls, and remember it; ``known`` was asked before.

        Raises:
            ProxyError: It cannot be found out, or whoever it is may not come in.
        """
        device = case.device or NO_DEVICE
        found = await self._found_out(request, device, case)
        present = self._device(case.peer, case.received_at)
        if present is not device and present != device:
            # More was heard of it meanwhile; of the token, which is remembered now, nothing is new.
            case.device = device = present
            found = await self._found_out(request, device, case)
        self.standings.keep((request.headers, case.peer.whence, device.thumbprint), found)
        return self._admitted(found, device, case)

    async def name(self, request: RequestHead, case: Case) -> None:
        """Find out for the log whose request is refused whoever it is.

        Raises:
            ProxyError: It cannot be found out.
        """
        case.device = device = self._device(case.peer, case.received_at)
        case.session_id = (await self._found_out(request, device, case)).session_id

    def _admitted(self, standing: Standing, device: DevicePosture, case: Case) -> Standing:
        """Return the same, unless whoever it is may not come in.

        Raises:
            ProxyError: So it is.
        """
        case.identity, case.session_id = standing.identity, standing.session_id
        if self.sessions is not None and standing.identity.is_session:
            self.sessions.used(standing.session_id, case.received_at)
        if device.state == _BLOCKED:
            raise Forbidden(device.reason)
        if self.signals is not None:
            self.signals.check(standing.identity, device)
        return standing

    async def _found_out(self, request: RequestHead, device: DevicePosture, case: Case) -> Standing:
        token = bearer_token(request)
        remembered = self.authenticator.remembered(token)
        case.identity = subject = remembered or await self.authenticator.authenticate(token)
        case.session_id = session = session_id(subject, device)
        if subject.confirmation and subject.confirmation != device.thumbprint:
            raise _without_its_certificate(subject, device)
        case.identity = subject = self._where_it_is(subject, case)
        extras = _session_extras(session, device)
        authorization = self.api_server.authorization()
        return Standing(
            token_digest=token_digest(token),
            identity=subject,
            device=device,
            session_id=session,
            authorization=authorization,
            impersonation=Impersonation(
                subject,
                identity_block(
                    subject,
                    case.peer.address,
                    extras=extras,
                    authority=self.api_server.authority,
                    authorization=authorization,
                    send_uid=self.send_uid,
                ),
            ),
            recorded=recorded_caller(subject, device, session, self._impersonated(subject, extras)),
            caller=caller_of(subject, session),
        )

    def _where_it_is(self, subject: Identity, case: Case) -> Identity:
        """Have a session know where its request comes from, if any rule asks."""
        if self.sessions is None or not self.follows_sessions or not subject.is_session:
            return subject
        address = str(case.peer.address)
        if (subject.seen_from or subject.signed_in_from) == address:
            return subject
        self.sessions.came_from(subject.sign_in, address)
        return replace(subject, seen_from=address)

    def _impersonated(self, subject: Identity, extras: Headers) -> Impersonated:
        return impersonated_identity(
            user=subject.username,
            groups=subject.groups,
            uid=subject.uid if self.send_uid else "",
            extra=(*subject.extra, *((key, (value,)) for key, value in extras)),
        )

    def _device(self, peer: Peer, now: datetime) -> DevicePosture:
        if self.devices is None:
            return NO_DEVICE
        posture = self.devices.posture(peer.certificates, now)
        for known in self.device_facts:
            posture = known.stated(posture)
        return posture


def _without_its_certificate(subject: Identity, device: DevicePosture) -> Unauthenticated:
    """Return the refusal of a token that came without the certificate that it is bound to.

    Both thumbprints are in the decision's record, too: it may be that the token was stolen.
    """
    presented = device.thumbprint or "none"
    said = "came with another one" if device.thumbprint else "came without any"
    return Unauthenticated(
        f"the token is bound to the certificate that it was issued for, and {said};"
        " use the kubeconfig of the machine that you signed in on, or run `kzproxy login` here",
        detail=f"the token of {subject.username!r} is bound to certificate"
        f" {subject.confirmation}, presented was {presented}",
    )


def _session_extras(session: str, device: DevicePosture) -> Headers:
    """Return kzproxy's own extras; stable for a session, for kube-apiserver's caches."""
    if device.device_id:
        return ((SESSION_EXTRA, session), (DEVICE_EXTRA, device.device_id))
    return ((SESSION_EXTRA, session),)

"""What a client is granted: a session, its next renewal token, what its tokens are bound to."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Protocol

import msgspec
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec

from kzproxy.administrator.session import SessionRecord
from kzproxy.administrator.session_directory import SessionDirectory
from kzproxy.authentication.session_token import SessionTokens
from kzproxy.devices.issuing import IssuedCertificate
from kzproxy.devices.names import key_thumbprint
from kzproxy.errors.kinds import Unauthenticated
from kzproxy.store.nonces import Nonces
from kzproxy.store.sealing import Sealer
from kzproxy.web.client_certificates import ClientCertificates
from kzproxy.web.renewal_token import RenewalToken


class PostureIntake(Protocol):
    """Takes what a client reports of its device."""

    async def take(
        self, report: str, key: ec.EllipticCurvePublicKey, *, device_id: str, session: str
    ) -> str:
        """Take a report signed with ``key``; return why it was not taken, empty where it was."""


class GrantSources(msgspec.Struct, frozen=True, kw_only=True):
    """What sessions are made and renewed with.

    Attributes:
        directory: Keeps sessions.
        tokens: Issues session tokens.
        sealer: For the provider's refresh token.
        certificates: Of clients.
        nonces: For the next posture report.
        posture: Takes reports.
        catch_up: Has ``directory`` know what other workers have written.
        check_sign_in: Refuses a session before it begins whose sign-in, begun at the given time,
            was revoked meanwhile; raises ``Unauthenticated``.
    """

    directory: SessionDirectory
    tokens: SessionTokens
    sealer: Sealer
    certificates: ClientCertificates
    nonces: Nonces
    posture: PostureIntake
    catch_up: Callable[[], Awaitable[None]]
    check_sign_in: Callable[[SessionRecord, datetime], None]


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """The certificate that a session token will be good with.

    Attributes:
        thumbprint: Its SHA-256, hex.
        issued: Where it has just been issued.
    """

    thumbprint: str
    issued: IssuedCertificate | None = None

    @classmethod
    def to(
        cls,
        key: ec.EllipticCurvePublicKey,
        certificates: ClientCertificates,
        request: web.Request,
    ) -> "Bound":
        """Issue a certificate for a key, or take the one of it that came with the request.

        Raises:
            ProxyError: There is neither.
        """
        issued = certificates.issued(key)
        if issued is not None:
            return cls(thumbprint=issued.thumbprint, issued=issued)
        presented = certificates.presented(request)
        if not presented.thumbprint:
            raise Unauthenticated(
                "this kzproxy issues no certificates: sign in with your device's certificate and"
                " its key (`--device-cert` and `--device-key`)"
            )
        return cls(thumbprint=certificates.good(request, key_thumbprint(key)).thumbprint)


class Granted(msgspec.Struct, frozen=True, kw_only=True):
    """A session that was begun or renewed.

    Attributes:
        record: As it is now.
        renewal: What it is renewed with next.
        bound: What its token is good with.
        key: The client's, which it has shown.
    """

    record: SessionRecord
    renewal: RenewalToken
    bound: Bound
    key: ec.EllipticCurvePublicKey

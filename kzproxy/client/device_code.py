"""Signing in where there is no browser: the device authorization grant (RFC 8628)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Generic

from kzproxy.client.failure import ClientFailure
from kzproxy.client.granting import Grants, GrantT
from kzproxy.client.issuer_http import Document, IssuerUnreachable
from kzproxy.client.pkce import ProofKey
from kzproxy.client.provider import Provider
from kzproxy.client.token_endpoint import Refused
from kzproxy.clock.system import Clock

# RFC 8628 section 3.2 and 3.5.
DEFAULT_INTERVAL_SECONDS = 5.0
SLOWER_BY_SECONDS = 5.0
LONGEST_INTERVAL_SECONDS = 60.0
# What an issuer may say of either; a number of any length is JSON, and no float.
MOST_SECONDS = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceAuthorization:
    """What the user must do elsewhere, and what it is redeemed with.

    Attributes:
        verification_uri: For the user to open.
        complete_uri: The same with the code in it; may be empty.
        user_code: For the user to enter or to compare.
        device_code: Secret.
        lifetime_seconds: How long both codes hold.
        interval_seconds: Between two polls.
    """

    verification_uri: str
    complete_uri: str
    user_code: str
    device_code: str = field(repr=False)
    lifetime_seconds: float
    interval_seconds: float

    @classmethod
    def parse(cls, document: Document) -> "DeviceAuthorization":
        """Read a device authorization response (RFC 8628 section 3.2)."""
        # Google had the grant before it had a standard.
        place = "verification_uri" if "verification_uri" in document else "verification_url"
        return cls(
            verification_uri=_uri(document, place),
            complete_uri=_uri(document, "verification_uri_complete", required=False),
            user_code=_text(document, "user_code"),
            device_code=_text(document, "device_code"),
            lifetime_seconds=_seconds(document, "expires_in", 0),
            interval_seconds=_seconds(document, "interval", DEFAULT_INTERVAL_SECONDS),
        )


class DeviceCodeFlow(Generic[GrantT]):
    """Shows the user a code to enter elsewhere, and asks the issuer until that is done."""

    def __init__(
        self,
        provider: Provider,
        endpoint: Grants[GrantT],
        client_id: str,
        clock: Clock,
        sleep: Callable[[float], None],
    ) -> None:
        self._provider = provider
        self._endpoint = endpoint
        self._client_id = client_id
        self._clock = clock
        self._sleep = sleep

    def run(
        self,
        scopes: tuple[str, ...],
        prompt: str,
        deadline: float,
        show: Callable[[DeviceAuthorization], None],
        extra: Mapping[str, str] = MappingProxyType({}),
    ) -> GrantT:
        """Sign in; ``show`` tells the user where to go.

        Args:
            scopes: To ask for.
            prompt: As for the browser; empty: none.
            deadline: Monotonic seconds; the codes may end before.
            show: Called once.
            extra: Further parameters of the request.

        Raises:
            ClientFailure: The user or the issuer refused, or it took too long.
        """
        # RFC 8628 has no PKCE, but some issuers demand it of a client in every grant, and the
        # others must ignore it (RFC 6749 section 3.1).
        proof_key = ProofKey.generate()
        parameters = {**proof_key.parameters, **extra}
        if prompt and "offline_access" in scopes:
            parameters["prompt"] = prompt
        document = self._endpoint.ask_device_code(scopes, parameters)
        authorization = DeviceAuthorization.parse(document)
        show(authorization)
        ends = self._clock.monotonic() + authorization.lifetime_seconds
        granted = self._poll(authorization, proof_key.verifier, min(deadline, ends))
        granted.check(self._provider.issuer, self._client_id, None)
        return granted

    def _poll(self, authorization: DeviceAuthorization, verifier: str, deadline: float) -> GrantT:
        interval = authorization.interval_seconds
        while self._clock.monotonic() + interval < deadline:
            self._sleep(interval)
            try:
                return self._endpoint.redeem_device_code(authorization.device_code, verifier)
            except Refused as refused:
                interval = _next_interval(refused, interval, self._provider.called)
            except IssuerUnreachable:  # section 3.5: ask less often
                interval = min(interval * 2, LONGEST_INTERVAL_SECONDS)
        raise ClientFailure("nobody entered the code in time; run the command again")


def _next_interval(refused: Refused, interval: float, who: str) -> float:
    """Return how long to wait now (RFC 8628 section 3.5); raises where waiting is over."""
    match refused.error:
        case "authorization_pending":
            return interval
        case "slow_down":
            return interval + SLOWER_BY_SECONDS
        case "expired_token":
            raise ClientFailure("the code has ended before it was entered; run the command again")
        case "access_denied":
            raise ClientFailure(f"signing in was refused at {who}")
        case _:
            raise refused


def _text(document: Document, name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not value:
        raise ClientFailure(f"the issuer's device authorization has no {name}")
    return value


def _uri(document: Document, name: str, *, required: bool = True) -> str:
    if not required and name not in document:
        return ""
    uri = _text(document, name)
    if not uri.startswith("https://"):
        raise ClientFailure(f"the issuer's {name} is not https: {uri!r}")
    return uri


def _seconds(document: Document, name: str, default: float) -> float:
    value = document.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int | float):
        value = 0
    if not 0 < value <= MOST_SECONDS:
        raise ClientFailure(f"the issuer's device authorization has no usable {name}")
    return float(value)

"""What every part of the sign-in listener works with, and the limits that are shared."""

from collections.abc import Callable, Sequence
from ipaddress import ip_address

import msgspec
from aiohttp import web

from kzproxy.attributes.environment import IPAddress
from kzproxy.audit.events import Event, EventLog
from kzproxy.authentication.provider_client import ProviderClient
from kzproxy.clock.system import Clock
from kzproxy.metrics.registry import Metrics
from kzproxy.web.address_limits import AddressLimit
from kzproxy.web.sign_in_flows import Person, SignInFlows
from kzproxy.web.sign_in_pages import Pages

BEGUN_PER_MINUTE = 60
ALL_BEGUN_PER_MINUTE = 1200
SHARE_BEGUN_PER_MINUTE = 6

WRONG_CODES_PER_MINUTE = 10
ALL_WRONG_CODES_PER_MINUTE = 60
SHARE_WRONG_CODES_PER_MINUTE = 3
"""RFC 8628 section 5.1: there are 20^8 codes; where a thousand terminals wait, a guess a second for
all of their ten minutes finds one in some 40,000 tries of doing so. Of whoever guesses from a
thousand networks at a time, the shares are fifty a second."""

REFUSED_PER_MINUTE = 60
ALL_REFUSED_PER_MINUTE = 6000
SHARE_REFUSED_PER_MINUTE = 6


class SignInLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How often addresses may do things; see docs/sessions.md.

    Attributes:
        begun: Sign-ins begun: each is a write.
        codes: Wrong device codes typed.
        refused: Requests to the token endpoint that were refused.
    """

    begun: AddressLimit
    codes: AddressLimit
    refused: AddressLimit

    @classmethod
    def usual(cls, clock: Clock) -> "SignInLimits":
        """Return them fresh."""
        return cls(
            begun=AddressLimit(
                clock,
                what="sign-ins begun",
                each_per_minute=BEGUN_PER_MINUTE,
                all_per_minute=ALL_BEGUN_PER_MINUTE,
                share_per_minute=SHARE_BEGUN_PER_MINUTE,
            ),
            codes=AddressLimit(
                clock,
                what="wrong codes",
                each_per_minute=WRONG_CODES_PER_MINUTE,
                all_per_minute=ALL_WRONG_CODES_PER_MINUTE,
                share_per_minute=SHARE_WRONG_CODES_PER_MINUTE,
            ),
            refused=AddressLimit(
                clock,
                what="refused requests",
                each_per_minute=REFUSED_PER_MINUTE,
                all_per_minute=ALL_REFUSED_PER_MINUTE,
                share_per_minute=SHARE_REFUSED_PER_MINUTE,
            ),
        )


class SignInDesk(msgspec.Struct, frozen=True, kw_only=True):
    """What they work with.

    Attributes:
        url: Of the listener, without a slash at its end; the ``iss``.
        clock: Tells the time.
        flows: Remembers steps.
        providers: Where people sign in, by the configuration in force.
        pages: Renders.
        limits: Of addresses.
        events: Where sign-ins are written down.
        metrics: Counts them.
    """

    url: str
    clock: Clock
    flows: SignInFlows
    providers: Callable[[], Sequence[ProviderClient]]
    pages: Pages
    limits: SignInLimits
    events: EventLog
    metrics: Metrics

    def callback(self, name: str) -> str:
        """Return where providers send browsers back to whose ``callback`` is ``name``."""
        return f"{self.url}{callback_path(name)}"

    @property
    def code_page(self) -> str:
        """The redirect URI of a client that has no browser: a page with the code to paste."""
        return f"{self.url}/code"

    def provider(self, issuer: str) -> ProviderClient | None:
        """Return a provider by its issuer's URL."""
        found = (each for each in self.providers() if each.settings.issuer.url == issuer)
        return next(found, None)

    async def write_refusal(
        self, request: web.Request, name: str, message: str, person: Person | None = None
    ) -> None:
        """Have a refusal in the log.

        Raises:
            ServiceUnavailable: It cannot be written.
        """
        user = ("", "", "") if person is None else user_of(person)
        await self.events.record_event(
            Event(
                name=name,
                refused=True,
                message=message,
                user=user,
                address=address_of(request),
                port=port_of(request),
                details=client_details(request),
            )
        )


def callback_path(name: str) -> str:
    """Return the path at which browsers come back; see ``ProviderSettings.callback``."""
    return f"/callback/{name}" if name else "/callback"


def user_of(person: Person) -> tuple[str, str, str]:
    """Return how events name somebody."""
    return person.username, person.issuer, person.subject


def remote(request: web.Request) -> str:
    """Return the socket's peer, as text."""
    return request.remote or ""


def address_of(request: web.Request) -> IPAddress | None:
    """Return the socket's peer; None where it has gone."""
    try:
        return ip_address(remote(request))
    except ValueError:
        return None


def port_of(request: web.Request) -> int:
    """Return the peer's port; 0 where it has gone."""
    peer = request.transport.get_extra_info("peername") if request.transport else None
    return int(peer[1]) if peer else 0


def client_details(request: web.Request) -> dict[str, str]:
    """Return what a request says of its client."""
    agent = request.headers.get("User-Agent", "")
    return {"user_agent": agent} if agent else {}

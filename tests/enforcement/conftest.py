"""One relay, or a whole kzproxy, in this process: clients over TLS, and the scripted stand-in."""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from kzproxy.administrator.lease import EndCause, Ending
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.enforcement.case import Case
from kzproxy.enforcement.relay import Relay
from kzproxy.errors.kinds import Unauthenticated
from kzproxy.http.messages import RequestHead
from kzproxy.http.request_head import parse_request_head
from kzproxy.metrics.registry import Metrics
from kzproxy.transport.deadlines import Deadlines
from kzproxy.transport.exchange import Exchange
from kzproxy.transport.peer import Peer
from kzproxy.transport.tls_stream import TlsStream
from kzproxy.upstream.api_server import ApiServer
from kzproxy.upstream.impersonation import Outgoing, own_request
from tests.authentication.manual_clock import ManualClock
from tests.enforcement.served import Served, serving
from tests.proxy.fixtures import Scripted, not_started
from tests.proxy.world import request
from tests.servers.scripted_api_server import ACCOUNT, ScriptedApiServer
from tests.transport.conftest import (  # noqa: F401 - fixtures
    Pair,
    authority,
    client_context,
    pair,
    server_context,
)
from tests.upstream.conftest import (  # noqa: F401 - fixtures
    api_server,
    clock,
    deadlines,
    stand_in,
)

ENDED = Ending(cause=EndCause.CREDENTIAL, error=Unauthenticated("the sign-in has ended"))


@dataclass
class Scene:
    """One request, read from its client and permitted.

    Attributes:
        client: The client's end.
        exchange: The request as kzproxy has it; its body, if any, is still to come.
    """

    client: TlsStream
    stream: TlsStream
    api_server: ApiServer
    stand_in: ScriptedApiServer
    deadlines: Deadlines
    clock: ManualClock
    exchange: Exchange = field(init=False)
    case: Case = field(init=False)

    def relay(self, method: str, target: str, *headers: str) -> tuple[Relay, Outgoing]:
        """Return the relay of a request, and what it sends upstream."""
        peer = Peer(address=ip_address("192.0.2.7"), port=1)
        self.exchange = exchange = Exchange(
            peer=peer,
            stream=self.stream,
            deadlines=self.deadlines,
            head=parse_request_head(request(method, target, "", *headers)),
            rest=b"",
        )
        head = exchange.read_request()
        self.case = Case(audit_id="a-1", peer=peer, received_at=self.clock.now(), started=0.0)
        relay = Relay(
            exchange=exchange,
            info=RequestInfo.parse(method, target),
            case=self.case,
            api_server=self.api_server,
            account=ACCOUNT,
            metrics=Metrics(version=""),
        )
        outgoing = RequestHead(
            method=method,
            target=target,
            headers=(("host", "upstream"),),
            body=head.body,
            upgrade=head.upgrade,
        )
        return relay, own_request(outgoing)

    def pass_time(self, seconds: float) -> None:
        """Let time pass for the deadlines."""
        self.clock.advance(timedelta(seconds=seconds))
        self.deadlines.sweep()


@pytest.fixture
async def scene(
    pair: Pair,  # noqa: F811
    api_server: ApiServer,  # noqa: F811
    stand_in: ScriptedApiServer,  # noqa: F811
    deadlines: Deadlines,  # noqa: F811
    clock: ManualClock,  # noqa: F811
) -> Scene:
    server, client = pair
    deadlines.keep(server)
    return Scene(client, server, api_server, stand_in, deadlines, clock)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Scripted]:
    with not_started(tmp_path) as made:
        yield made


@pytest.fixture
async def served(made: Scripted) -> AsyncIterator[Served]:
    async with serving(made) as served:
        yield served

"""kube-apiserver by a name that cannot be looked up."""

import pytest

from kzproxy.clock.system import SystemClock
from kzproxy.errors.kinds import ServiceUnavailable
from kzproxy.http.messages import NoBody, RequestHead
from kzproxy.metrics.registry import Metrics
from kzproxy.transport.deadlines import Deadlines
from kzproxy.upstream.account import Account, UpstreamSettings
from kzproxy.upstream.api_server import ApiServer
from tests.servers.authority import Authority


async def test_a_name_that_nobody_knows_is_said_without_the_name() -> None:
    clock = SystemClock()
    settings = UpstreamSettings(
        host="api.kzproxy.invalid",  # RFC 6761 section 6.4: never exists
        port=6443,
        server_name="api.kzproxy.invalid",
        authority_pem=Authority.root().pem.decode(),
        token="t",
    )
    server = ApiServer(Account.of(settings, clock), Deadlines(clock), Metrics(version=""))
    head = RequestHead(method="GET", target="/", headers=(("host", "x"),), body=NoBody())
    with pytest.raises(ServiceUnavailable) as raised:
        await server.ask(head)
    server.close()

    assert (raised.value.code, raised.value.retry_after_seconds) == (503, 1)
    assert "nothing was done" in raised.value.message
    assert raised.value.detail
    assert "api.kzproxy.invalid" not in raised.value.message

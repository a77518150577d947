"""How much one user may have under way, and that nobody else feels it."""

import contextlib
import threading

from tests.limits.conftest import LIMITS
from tests.limits.told import refused, told
from tests.proxy.eventually import eventually
from tests.proxy.fixtures import Scripted
from tests.proxy.raw_client import RawClient
from tests.proxy.world import request
from tests.servers.scripted_api_server import Connection, json_answer

PODS = "/api/v1/namespaces/a/pods"
WATCH = f"{PODS}?watch=1"
DEFAULT_STREAMS = 500
EVENT = b'{"type":"ADDED","object":{}}\n'


def watch(connection: Connection, head: bytes) -> None:
    """Send one event and then nothing, until the client goes; answer all else at once."""
    if b"watch=1" not in head:
        connection.send(json_answer(200, {}))
        return
    chunk = b"%x\r\n%b\r\n" % (len(EVENT), EVENT)
    connection.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + chunk)
    connection.tls.recv(1)


def watching(scripted: Scripted, token: str, stack: contextlib.ExitStack) -> RawClient:
    client = stack.enter_context(scripted.world.client(seconds=30))
    client.send(request("GET", WATCH, token))
    assert client.head()[0] == 200
    assert EVENT in client.receive()
    return client


def test_E4_3_the_501st_watch_is_refused_and_the_others_live(scripted: Scripted) -> None:
    scripted.api_server.script = watch
    token = scripted.world.token("wanda", "testers")
    with contextlib.ExitStack() as stack:
        clients = [watching(scripted, token, stack) for _ in range(DEFAULT_STREAMS)]
        with scripted.world.client() as one_more:
            answer = one_more.ask(request("GET", WATCH, token))
            ordinary = one_more.ask(request("GET", PODS, token))
        somebody_else = watching(scripted, scripted.world.token("otto", "testers"), stack)

        assert told(answer) == (429, "TooManyRequests", "1")
        assert 'User "t:wanda" has 500 streams' in answer.message
        assert refused(scripted.world.proxy, answer) == ("refused", "too-many-requests")
        assert ordinary.status == 200, "streams do not use up what ordinary requests may have"
        for client in [clients[0], clients[-1], somebody_else]:
            assert client.is_quiet(), "it was cut"


def test_a_stream_that_ended_makes_room(limited: Scripted) -> None:
    limited.api_server.script = watch
    token = limited.world.token("willow", "testers")
    with contextlib.ExitStack() as stack:
        clients = [watching(limited, token, stack) for _ in range(LIMITS["streamsPerIdentity"])]
        with limited.world.client() as client:
            assert client.ask(request("GET", WATCH, token)).status == 429
        clients.pop().tls.close()
        for _ in range(100):
            with limited.world.client() as client:
                client.send(request("GET", WATCH, token))
                if client.head()[0] == 200:
                    return
    raise AssertionError("no room was made")


def test_requests_under_way_are_bound_for_each_identity(limited: Scripted) -> None:
    go_on = threading.Event()

    def slow(connection: Connection, head: bytes) -> None:
        if b"slow" in head:
            go_on.wait(20)
        connection.send(json_answer(200, {}))

    limited.api_server.script = slow
    # A log that is not followed is an ordinary request, for whose answer there is no time limit.
    token = limited.world.token("rita", "testers")
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(limited.world.client()) for _ in range(4)]
        for client in clients:
            client.send(request("GET", f"{PODS}/slow/log", token))
        eventually(lambda: len(limited.api_server.heads) >= LIMITS["requestsPerIdentity"])
        with limited.world.client() as one_more:
            answer = one_more.ask(request("GET", PODS, token))
            other = one_more.ask(request("GET", PODS, limited.world.token("otto", "testers")))
        go_on.set()
        answered = [client.answer().status for client in clients]
        with limited.world.client() as client:
            afterwards = client.ask(request("GET", PODS, token))

    assert told(answer) == (429, "TooManyRequests", "1")
    assert refused(limited.world.proxy, answer) == ("refused", "too-many-requests")
    assert other.status == 200
    assert answered == [200] * 4
    assert afterwards.status == 200


def test_a_refused_request_is_not_sent_and_does_not_count(limited: Scripted) -> None:
    """Otherwise retries of what was refused would keep it refused."""
    limited.api_server.script = watch
    token = limited.world.token("nora", "testers")
    with contextlib.ExitStack() as stack:
        for _ in range(LIMITS["streamsPerIdentity"]):
            watching(limited, token, stack)
        sent = len(limited.api_server.heads)
        with limited.world.client() as client:
            codes = {client.ask(request("GET", WATCH, token)).status for _ in range(20)}

    assert codes == {429}
    assert len(limited.api_server.heads) == sent

"""kzproxy waits for kube-apiserver at its start, and not for longer than it says."""

import asyncio
import itertools
from datetime import timedelta

import pytest

from kzproxy.errors.configuration import ConfigurationError
from kzproxy.server.startup import awaited_namespaces, checked_account
from kzproxy.upstream.api_server import ApiServer
from kzproxy.upstream.namespaces import NamespaceLabels
from kzproxy.upstream.timeouts import UpstreamTimeouts
from tests.authentication.manual_clock import ManualClock
from tests.proxy.eventually import eventually
from tests.servers.scripted_api_server import (
    ACCOUNT,
    Connection,
    Script,
    ScriptedApiServer,
    answer_review,
    json_answer,
    take_body,
)
from tests.upstream.conftest import (  # noqa: F401 - fixtures
    api_server,
    clock,
    deadlines,
    stand_in,
)

LEADERLESS = json_answer(503, {"status": "Failure", "message": "etcdserver: leader changed"})
SAID = "kube-apiserver cannot answer at this moment: 503 etcdserver: leader changed"
HALF_A_MINUTE = timedelta(seconds=30)
LITTLE = timedelta(milliseconds=300)


class Leaping(ManualClock):
    """Has come close to half a minute later whenever it is read."""

    def monotonic(self) -> float:
        before = super().monotonic()
        self.advance(HALF_A_MINUTE - LITTLE)
        return before


def fail(connection: Connection, head: bytes) -> None:
    take_body(connection, head)
    connection.send(LEADERLESS)


def list_none(connection: Connection, head: bytes) -> None:
    connection.send(json_answer(200, {"metadata": {"resourceVersion": "7"}, "items": []}))


def forbid(connection: Connection, head: bytes) -> None:
    connection.send(json_answer(403, {"message": "no"}))


def say_nothing(connection: Connection, head: bytes) -> None:
    take_body(connection, head)
    while connection.tls.recv(65536):
        pass


def at_first(script: Script, *, then: Script) -> Script:
    """Answer the first review in one way, and those after it in another."""
    scripts = itertools.chain([script], itertools.repeat(then))

    def answer(connection: Connection, head: bytes) -> None:
        next(scripts)(connection, head)

    return answer


async def test_a_start_while_kube_apiserver_fails_for_a_moment_takes(
    api_server: ApiServer,  # noqa: F811 - a fixture
    stand_in: ScriptedApiServer,  # noqa: F811 - a fixture
) -> None:
    stand_in.reviews = at_first(fail, then=answer_review)
    told: list[str] = []

    account = await checked_account(
        api_server, send_uid=True, clock=ManualClock(), tell=told.append
    )
    assert account == ACCOUNT
    assert told == [f"{SAID}; trying for 30 s"]


async def test_half_a_minute_is_over_however_few_tries_it_had_room_for(
    api_server: ApiServer,  # noqa: F811 - a fixture
    stand_in: ScriptedApiServer,  # noqa: F811 - a fixture
) -> None:
    stand_in.context = None  # Whoever connects waits for a handshake.
    api_server.timeouts = UpstreamTimeouts(connect_seconds=0.1)
    own = ManualClock()

    with pytest.raises(ConfigurationError, match="could not connect to kube-apiserver in time"):
        await checked_account(
            api_server, send_uid=True, clock=own, tell=lambda _: own.advance(HALF_A_MINUTE)
        )
    eventually(lambda: stand_in.connections)  # It accepts in a thread of its own.
    assert stand_in.connections == 1


async def test_a_try_lasts_no_longer_than_what_is_left_and_what_was_said_before_it_counts(
    api_server: ApiServer,  # noqa: F811 - a fixture
    stand_in: ScriptedApiServer,  # noqa: F811 - a fixture
) -> None:
    stand_in.reviews = at_first(fail, then=say_nothing)
    own = ManualClock()

    with pytest.raises(ConfigurationError, match=SAID):
        async with asyncio.timeout(10):
            await checked_account(
                api_server,
                send_uid=True,
                clock=own,
                tell=lambda _: own.advance(HALF_A_MINUTE - LITTLE),
            )


async def test_who_never_answers_is_named_in_time(
    api_server: ApiServer,  # noqa: F811 - a fixture
    stand_in: ScriptedApiServer,  # noqa: F811 - a fixture
) -> None:
    stand_in.reviews = say_nothing

    with pytest.raises(ConfigurationError, match="kube-apiserver: no answer within 30 s"):
        async with asyncio.timeout(10):
            await checked_account(api_server, send_uid=True, clock=Leaping(), tell=print)


async def test_a_start_takes_while_namespaces_cannot_be_listed_for_a_moment(
    api_server: ApiServer,  # noqa: F811 - a fixture
    stand_in: ScriptedApiServer,  # noqa: F811 - a fixture
) -> None:
    stand_in.script = at_first(fail, then=list_none)
    labels, told = NamespaceLabels(api_server, ManualClock(), lambda _: None), list[str]()

    await awaited_namespaces(labels, ManualClock(), told.append)
    assert labels.problem == ""
    assert told == [
        "kube-apiserver answers 503 where kzproxy asks for the namespaces; trying for 30 s"
    ]


async def test_nobody_waits_for_namespaces_that_kzproxy_may_not_list(
    api_server: ApiServer,  # noqa: F811 - a fixture
    stand_in: ScriptedApiServer,  # noqa: F811 - a fixture
) -> None:
    stand_in.script = forbid
    labels, told = NamespaceLabels(api_server, ManualClock(), lambda _: None), list[str]()

    with pytest.raises(ConfigurationError, match=r"403.*its account needs deploy/rbac/namespaces"):
        await awaited_namespaces(labels, ManualClock(), told.append)
    assert (told, len(stand_in.heads)) == ([], 1)

"""What rests on labels of a namespace holds as long as they do, from the decision on."""

import json
from collections.abc import AsyncIterator, Callable
from datetime import timedelta

import pytest
from msgspec.structs import replace

from kzproxy.administrator.lease import Ending
from kzproxy.attributes.attributes import Attributes
from kzproxy.errors.kinds import Forbidden
from kzproxy.http.chunks import LAST_CHUNK, chunk
from kzproxy.policy.decision import Permit
from kzproxy.policy.rules import Match
from kzproxy.policy.selectors import LabelRequirement, LabelSelector, Operator
from kzproxy.transport.alongside import alongside
from kzproxy.upstream.api_server import ApiServer
from kzproxy.upstream.namespaces import OUTAGE_SECONDS, NamespaceLabels
from tests.administrator.test_administrator import TRUST, World
from tests.authentication.manual_clock import ManualClock
from tests.policy.samples import allow, asked
from tests.servers.scripted_api_server import Connection, ScriptedApiServer, json_answer
from tests.upstream.conftest import (  # noqa: F401 - fixtures
    api_server,
    clock,
    deadlines,
    stand_in,
)
from tests.upstream.test_namespaces import WATCH as WATCH_HEAD
from tests.upstream.test_namespaces import namespace, page, until

OPEN = LabelSelector(
    requirements=(LabelRequirement(key="open", operator=Operator.EXISTS, values=frozenset()),)
)
WHERE_OPEN = Match(
    verbs=frozenset({"watch"}),
    api_groups=frozenset({""}),
    resources=frozenset({"pods"}),
    namespace_selector=OPEN,
)
WATCH_PODS = "/api/v1/namespaces/dev/pods?watch=1"


class Labelled:
    """An administrator whose only rule goes by labels, and what they are at the stand-in."""

    def __init__(self, api_server: ApiServer, clock: ManualClock) -> None:  # noqa: F811
        self.clock = clock
        self.world = World(allow("open", WHERE_OPEN))
        administrator = self.world.administrator
        self.labels = NamespaceLabels(api_server, clock, administrator.judge_namespaces_again)
        administrator.install(self.world.engine, TRUST, self.labels)
        self.watch: Connection | None = None
        self.refusal = 0

    def answer(self, connection: Connection, head: bytes) -> None:
        if self.refusal:
            connection.send(json_answer(self.refusal, {}))
        elif b"watch=1" in head:
            connection.send(WATCH_HEAD)
            self.watch = connection
        else:
            connection.send(page(namespace("dev", 1, open="yes")))

    def say(self, kind: str, **labels: str) -> None:
        event = {"type": kind, "object": namespace("dev", 2, **labels)}
        assert self.watch is not None
        self.watch.send(chunk(json.dumps(event).encode() + b"\n"))

    def permit(self, attributes: Attributes) -> Permit:
        return self.world.permit(self.world.administrator.informed(attributes))

    def opened(self, permit: Permit, cut: Callable[[Ending], None]) -> None:
        with self.world.administrator.open(permit, "s1", cut):
            pass


@pytest.fixture
async def labelled(
    stand_in: ScriptedApiServer,  # noqa: F811
    api_server: ApiServer,  # noqa: F811
    clock: ManualClock,  # noqa: F811
) -> AsyncIterator[Labelled]:
    found = Labelled(api_server, clock)
    stand_in.script = found.answer
    async with alongside(found.labels.run()):
        await until(lambda: found.watch)
        yield found


async def test_labels_that_change_while_a_permit_is_logged_are_not_missed(
    labelled: Labelled,
) -> None:
    permit = labelled.permit(asked("GET", WATCH_PODS))
    labelled.opened(permit, labelled.world.cuts.append)
    labelled.say("MODIFIED")
    await until(lambda: labelled.labels.of("dev") == ())
    with pytest.raises(Forbidden, match="no longer permits"):
        labelled.opened(permit, labelled.world.cuts.append)


async def test_so_it_is_where_nobody_knows_the_labels_any_more(labelled: Labelled) -> None:
    permit = labelled.permit(asked("GET", WATCH_PODS))
    labelled.refusal = 503
    assert labelled.watch is not None
    labelled.watch.send(LAST_CHUNK)
    await until(lambda: labelled.labels.problem)
    labelled.clock.advance(timedelta(seconds=OUTAGE_SECONDS + 1))
    await until(lambda: labelled.labels.of("dev") is None)
    with pytest.raises(Forbidden):
        labelled.opened(permit, labelled.world.cuts.append)


async def test_a_namespace_that_was_looked_up_need_not_have_come_by_the_watch(
    labelled: Labelled,
) -> None:
    young = asked("GET", WATCH_PODS.replace("dev", "young"))
    permit = labelled.world.permit(replace(young, namespace_labels=(("open", "yes"),)))
    labelled.opened(permit, labelled.world.cuts.append)


async def test_a_namespace_that_is_made_anew_without_its_labels_ends_what_rested_on_them(
    labelled: Labelled,
) -> None:
    permit = labelled.permit(asked("GET", WATCH_PODS))
    with labelled.world.administrator.open(permit, "s1", labelled.world.cuts.append):
        labelled.say("DELETED", open="yes")
        labelled.say("ADDED")
        await until(lambda: labelled.world.cuts)
    assert isinstance(labelled.world.cuts[0].error, Forbidden)

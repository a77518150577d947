"""kzproxy waits for kube-apiserver at its start, and not for longer than it says."""

import itertools

from kzproxy.server.startup import checked_account
from kzproxy.upstream.api_server import ApiServer
from tests.servers.scripted_api_server import (
    ACCOUNT,
    Connection,
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


async def test_a_start_while_kube_apiserver_fails_for_a_moment_takes(
    api_server: ApiServer,  # noqa: F811 - a fixture
    stand_in: ScriptedApiServer,  # noqa: F811 - a fixture
) -> None:
    numbers = itertools.count()

    def fail_first(connection: Connection, head: bytes) -> None:
        if next(numbers):
            answer_review(connection, head)
            return
        take_body(connection, head)
        connection.send(LEADERLESS)

    stand_in.reviews = fail_first
    told: list[str] = []

    assert await checked_account(api_server, send_uid=True, tell=told.append) == ACCOUNT
    assert told == [
        "kube-apiserver cannot answer at this moment: 503 etcdserver: leader changed;"
        " trying for 30 s"
    ]

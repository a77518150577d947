"""A drain on a machine that stands still for a while."""

import asyncio
import threading
from datetime import timedelta
from pathlib import Path

from kzproxy.http.chunks import LAST_CHUNK, chunk
from kzproxy.server.drain import drain
from tests.enforcement.served import PODS, serving
from tests.proxy.fixtures import not_started
from tests.servers.scripted_api_server import Connection

LIMIT = timedelta(seconds=20)
# Past the moment at which all have been told, and before the end.
STALL = timedelta(seconds=19.5)
EVENT = b'{"type":"ADDED","object":{}}\n'


async def test_what_is_due_in_a_drains_last_moments_is_told_though_they_went_by_in_a_stall(
    tmp_path: Path,
) -> None:
    ended = threading.Event()

    def watched(connection: Connection, _: bytes) -> None:
        connection.send(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
        connection.send(b"transfer-encoding: chunked\r\n\r\n" + chunk(EVENT))
        ended.wait(20)

    with not_started(tmp_path) as made:
        made.api_server.script = watched
        async with serving(made) as served, asyncio.TaskGroup() as group:
            client = await served.connect()
            await client.stream.send(served.get("ann", f"{PODS}?watch=1"))
            await client.until_seen(EVENT)
            administrator = served.services.administrator
            group.create_task(
                drain(served.listener, administrator, served.serving, LIMIT, served.clock)
            )
            await asyncio.sleep(0)
            served.clock.ahead += STALL
            rest = await client.until_seen(LAST_CHUNK)
            ended.set()

            assert rest == b"\r\n" + LAST_CHUNK
            await served.check_accounts()
            assert served.last_outcome()["termination"] == "drained"

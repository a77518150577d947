"""What a worker says to its supervisor, and what its silence means."""

from pathlib import Path

from kzproxy.server.addresses import ops_listening_privately, private_socket
from kzproxy.web.ops_server import Shown
from kzproxy.web.worker_at_work import Said, WorkerAtWork, ask
from tests.audit.faults import no_more_files


async def livez() -> Shown:
    return Shown(body=b"ok\n")


def worker_at(directory: Path) -> WorkerAtWork:
    return WorkerAtWork(name="worker 1", start="1.1", socket=directory / "1.sock")


async def test_what_we_lack_ourselves_is_no_silence_of_the_worker(tmp_path: Path) -> None:
    """Else a supervisor without descriptors would kill workers that serve."""
    worker = worker_at(tmp_path)
    async with ops_listening_privately(worker.socket, {"/livez": livez}):
        with no_more_files():
            said = await ask(worker, "/livez", 10)
        assert said == Said(text="cannot be asked: Too many open files")
        assert await ask(worker, "/livez", 10) == Said(status=200, text="ok\n")


async def test_who_takes_connections_and_says_nothing_is_silent(tmp_path: Path) -> None:
    worker = worker_at(tmp_path)
    with private_socket(worker.socket):
        said = await ask(worker, "/livez", 0.1)
    assert said.is_silent
    assert not said.status


async def test_who_is_not_there_to_be_asked_is_not_silent(tmp_path: Path) -> None:
    worker = worker_at(tmp_path)
    assert await ask(worker, "/livez", 10) == Said(text="starting")
    private_socket(worker.socket).close()
    assert await ask(worker, "/livez", 10) == Said(text="starting")

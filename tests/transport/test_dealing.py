"""Connections dealt out to workers: each of these would be a process."""

import asyncio
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from kzproxy.metrics.registry import Metrics
from kzproxy.transport.accepting import Accepting, listening_socket
from kzproxy.transport.dealing import Dealing
from kzproxy.transport.resetting import reset
from tests.audit.faults import no_more_files


class Post:
    """Where a worker takes connections.

    Attributes:
        taken: What it has taken.
        names: Of their clients.
        then: Called whenever it has taken one.
    """

    def __init__(self, directory: Path, number: int, workers: int) -> None:
        self.taken: list[socket.socket] = []
        self.names: list[tuple[str, int]] = []
        self.then: Callable[[], object] = int
        self.metrics = Metrics(version="")
        self.dealing = Dealing(directory, number, workers)
        sock = listening_socket("127.0.0.1", 0)
        loop = asyncio.get_running_loop()
        self.accepting = Accepting(sock, self._take, self.metrics, loop, self.dealing)

    def _take(self, sock: socket.socket, host: str, port: int) -> None:
        self.taken.append(sock)
        self.names.append((host, port))
        self.then()

    def pause(self) -> None:
        """Take nothing of what is handed over, until ``resume``."""
        asyncio.get_running_loop().remove_reader(self.dealing.inbox)

    def resume(self) -> None:
        inbox = self.dealing.inbox
        asyncio.get_running_loop().add_reader(inbox, self.accepting._readers[inbox])

    def close(self) -> None:
        self.accepting.close()
        for sock in self.taken:
            sock.close()


class Posts:
    """Several, and clients of theirs."""

    def __init__(self, directory: Path, count: int, stack: ExitStack) -> None:
        self.all = [Post(directory, number, count) for number in range(1, count + 1)]
        self._stack = stack
        for each in self.all:
            stack.callback(each.close)

    def begin(self) -> "Posts":
        for each in self.all:
            each.accepting.begin()
        return self

    def connect(self, post: Post) -> socket.socket:
        """Connect where it listens; who serves that is another matter."""
        return self._stack.enter_context(socket.create_connection(post.accepting.address))

    @property
    def counts(self) -> list[int]:
        return [len(each.taken) for each in self.all]

    async def connected(self, post: Post, count: int) -> None:
        """Connect so often, each time once the last was taken."""
        for _ in range(count):
            before = sum(self.counts)
            self.connect(post)
            await until(lambda before=before: sum(self.counts) > before)


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.001)


async def handed_to(post: Post) -> None:
    await until(lambda: select.select([post.dealing.inbox], [], [], 0)[0])


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
async def two(tmp_path: Path, stack: ExitStack) -> Posts:
    return Posts(tmp_path, 2, stack).begin()


@pytest.mark.parametrize("come_in", [(10, 0), (6, 4), (4, 6), (0, 10)])
async def test_each_of_two_has_half_wherever_they_come_in(
    two: Posts, come_in: tuple[int, int]
) -> None:
    for post, count in zip(two.all, come_in, strict=True):
        await two.connected(post, count)

    assert two.counts == [5, 5]


async def test_each_of_three_has_a_third(tmp_path: Path, stack: ExitStack) -> None:
    posts = Posts(tmp_path, 3, stack).begin()
    await posts.connected(posts.all[1], 9)

    assert posts.counts == [3, 3, 3]


async def test_one_that_was_handed_over_is_its_clients_still(two: Posts) -> None:
    first, second = two.all
    await two.connected(first, 1)
    client = two.connect(first)
    await until(lambda: second.taken)
    (sock,) = second.taken

    assert second.names == [client.getsockname()]
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert not sock.get_inheritable(), "else whoever kzproxy runs would hold it open"
    client.sendall(b"hello")
    assert sock.recv(5) == b"hello"
    sock.close()
    assert client.recv(1) == b"", "nobody else holds it open"


async def test_nothing_is_handed_to_whoever_has_not_begun(tmp_path: Path, stack: ExitStack) -> None:
    """Where its start fails, it would take them along."""
    posts = Posts(tmp_path, 2, stack)
    posts.all[0].accepting.begin()
    await posts.connected(posts.all[0], 4)

    assert posts.counts == [4, 0]


BEGIN_AND_DIE = """
import os, pathlib, signal, sys
from kzproxy.transport.dealing import Dealing
Dealing(pathlib.Path(sys.argv[1]), 2, 2).begin()
os.kill(os.getpid(), signal.SIGKILL)
"""


async def test_who_was_killed_gets_nothing_before_another_takes_its_place(
    tmp_path: Path, stack: ExitStack
) -> None:
    killed = subprocess.run([sys.executable, "-c", BEGIN_AND_DIE, tmp_path], check=False)
    assert killed.returncode == -signal.SIGKILL
    posts = Posts(tmp_path, 2, stack)
    posts.all[0].accepting.begin()
    await posts.connected(posts.all[0], 4)
    assert posts.counts == [4, 0]

    posts.all[1].accepting.begin()
    await posts.connected(posts.all[0], 4)
    assert posts.counts == [6, 2]


async def test_who_is_stuck_swallows_few(two: Posts) -> None:
    """What is handed to it is lost until it goes on, or is ended."""
    first, stuck = two.all
    stuck.pause()
    for _ in range(50):
        two.connect(first)
    await until(lambda: len(first.taken) >= 40)
    stuck.resume()
    await until(lambda: sum(two.counts) == 50)

    assert 1 <= len(stuck.taken) <= 10


async def test_who_ends_takes_what_was_handed_to_it_and_no_more(two: Posts) -> None:
    first, second = two.all
    second.pause()
    two.connect(first)
    two.connect(first)
    await handed_to(second)
    handed: list[bool] = []
    with socket.create_connection(first.accepting.address) as other:
        second.then = lambda: handed.extend(first.dealing.hand_over(other) for _ in range(2))
        second.accepting.end()

    assert len(second.taken) == 1
    assert handed == [False, False], "it would be closed with what it was handed over by"
    await until(lambda: sum(two.counts) == 3)
    await two.connected(first, 4)
    assert len(second.taken) == 1


async def test_who_ends_deals_out_what_it_has_not_taken(two: Posts) -> None:
    first, second = two.all
    asyncio.get_running_loop().remove_reader(second.accepting._sock)
    for _ in range(4):
        two.connect(second)
    second.accepting.end()
    await until(lambda: sum(two.counts) == 4)

    assert two.counts == [2, 2]
    assert first.taken


async def test_a_client_that_has_gone_meanwhile_is_nobodys(two: Posts) -> None:
    first, second = two.all
    await two.connected(first, 1)
    second.pause()
    gone = two.connect(first)
    await handed_to(second)
    reset(gone)
    second.resume()
    await two.connected(first, 1)
    staying = two.connect(first)
    await until(lambda: second.taken)

    assert second.names == [staying.getsockname()]


async def test_where_a_descriptor_is_missing_it_waits(two: Posts) -> None:
    first, second = two.all
    await two.connected(first, 1)
    second.pause()
    client = two.connect(first)
    await handed_to(second)
    with no_more_files():
        second.resume()
        await until(lambda: b"accept_failures_total 0.0" not in second.metrics.exposition())
        assert not second.taken
    await until(lambda: second.taken)

    assert second.names == [client.getsockname()]

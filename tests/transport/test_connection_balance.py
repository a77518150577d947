"""Connections spread over workers: each of these would be a process."""

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
from kzproxy.transport.connection_balance import ConnectionBalance, make_board
from kzproxy.transport.resetting import reset
from tests.audit.faults import no_more_files


class Post:
    """Where a worker takes connections.

    Attributes:
        taken: What it has taken.
    """

    def __init__(self, directory: Path, number: int) -> None:
        self.taken: list[socket.socket] = []
        self.names: list[tuple[str, int]] = []
        self.metrics = Metrics(version="")
        self.balance = ConnectionBalance(directory, number)
        sock = listening_socket("127.0.0.1", 0)
        loop = asyncio.get_running_loop()
        self.accepting = Accepting(sock, self._take, self.metrics, loop, self.balance)

    def _take(self, sock: socket.socket, host: str, port: int) -> None:
        self.taken.append(sock)
        self.names.append((host, port))
        self.balance.tell(len(self.taken))

    def has(self, count: int) -> None:
        """Say to others that it has so many."""
        self.balance.tell(count)

    def pause(self) -> None:
        """Take nothing of what is handed over, until ``resume``."""
        asyncio.get_running_loop().remove_reader(self.balance.inbox)

    def resume(self) -> None:
        inbox = self.balance.inbox
        asyncio.get_running_loop().add_reader(inbox, self.accepting._readers[inbox])

    def close(self) -> None:
        self.accepting.close()
        for sock in self.taken:
            sock.close()


class Posts:
    """Several, and clients of theirs."""

    def __init__(self, directory: Path, count: int, stack: ExitStack) -> None:
        make_board(directory, count)
        self.directory = directory
        self.all = [Post(directory, number) for number in range(1, count + 1)]
        self._stack = stack
        for each in self.all:
            stack.callback(each.close)

    def begin(self) -> None:
        for each in self.all:
            each.accepting.begin()

    def connect(self, post: Post) -> socket.socket:
        """Connect where it listens; who serves that is another matter."""
        return self._stack.enter_context(socket.create_connection(post.accepting.address))

    @property
    def counts(self) -> list[int]:
        return [len(each.taken) for each in self.all]

    async def until_taken(self, count: int) -> None:
        await until(lambda: sum(self.counts) == count)


async def until(holds: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.001)


async def handed_to(post: Post) -> None:
    await until(lambda: select.select([post.balance.inbox], [], [], 0)[0])


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
async def two(tmp_path: Path, stack: ExitStack) -> Posts:
    posts = Posts(tmp_path, 2, stack)
    posts.begin()
    return posts


async def test_connections_are_even_wherever_they_come_in(two: Posts) -> None:
    first, second = two.all
    for count, where in enumerate([first] * 6 + [second] * 3 + [first] * 3, 1):
        two.connect(where)
        await two.until_taken(count)
        assert max(two.counts) - min(two.counts) <= 1

    assert two.counts == [6, 6]


async def test_many_at_once_are_even_but_for_what_was_under_way(two: Posts) -> None:
    for count in range(5, 101, 5):
        for _ in range(5):
            two.connect(two.all[0])
        await two.until_taken(count)

    assert abs(two.counts[0] - 50) <= 6


async def test_who_has_fewest_takes_what_comes_until_it_has_as_many(
    tmp_path: Path, stack: ExitStack
) -> None:
    """As a worker that was started in another's place."""
    posts = Posts(tmp_path, 3, stack)
    posts.begin()
    posts.all[0].has(10)
    posts.all[2].has(7)
    for count in range(1, 5):
        posts.connect(posts.all[0])
        await posts.until_taken(count)

    assert posts.counts == [0, 4, 0]


@pytest.mark.parametrize(("workers", "handed"), [(2, 12), (3, 6), (4, 4)])
async def test_who_has_far_more_keeps_most_of_what_comes_in(
    tmp_path: Path, stack: ExitStack, workers: int, handed: int
) -> None:
    """Those that it has may be idle watches, and all work would be another's."""
    posts = Posts(tmp_path, workers, stack)
    posts.begin()
    first = posts.all[0]
    for post in posts.all[:-1]:
        post.has(200)
    for count in range(1, 25):
        posts.connect(first)
        await posts.until_taken(count)
        first.has(200)

    assert posts.counts == [24 - handed, *[0] * (workers - 2), handed]


async def test_one_that_was_handed_over_is_its_clients_still(two: Posts) -> None:
    two.all[0].has(1)
    client = two.connect(two.all[0])
    await two.until_taken(1)
    (sock,), second = two.all[1].taken, two.all[1]

    assert second.names == [client.getsockname()]
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    assert not sock.get_inheritable(), "else whoever kzproxy runs would hold it open"
    client.sendall(b"hello")
    assert sock.recv(5) == b"hello"
    sock.close()
    assert client.recv(1) == b"", "nobody else holds it open"


async def test_nothing_is_handed_to_whoever_has_not_begun(tmp_path: Path, stack: ExitStack) -> None:
    posts = Posts(tmp_path, 2, stack)
    posts.all[0].accepting.begin()
    for count in range(1, 4):
        posts.connect(posts.all[0])
        await posts.until_taken(count)

    assert posts.counts == [3, 0]


JOIN_AND_DIE = """
import os, pathlib, signal, sys
from kzproxy.transport.connection_balance import ConnectionBalance
ConnectionBalance(pathlib.Path(sys.argv[1]), 2).tell(0)
os.kill(os.getpid(), signal.SIGKILL)
"""


async def test_who_was_killed_gets_nothing_before_another_takes_its_place(
    tmp_path: Path, stack: ExitStack
) -> None:
    make_board(tmp_path, 2)
    first = Post(tmp_path, 1)
    stack.callback(first.close)
    first.accepting.begin()
    killed = subprocess.run([sys.executable, "-c", JOIN_AND_DIE, tmp_path], check=False)
    assert killed.returncode == -signal.SIGKILL
    first.has(5)
    for count in (1, 2):
        stack.enter_context(socket.create_connection(first.accepting.address))
        await until(lambda count=count: len(first.taken) == count)

    second = Post(tmp_path, 2)
    stack.callback(second.close)
    second.accepting.begin()
    stack.enter_context(socket.create_connection(first.accepting.address))
    await until(lambda: second.taken)


async def test_where_the_first_takes_none_the_next_is_asked(
    tmp_path: Path, stack: ExitStack
) -> None:
    posts = Posts(tmp_path, 3, stack)
    posts.begin()
    posts.all[0].has(9)
    posts.all[2].has(3)
    (tmp_path / "2.in").unlink()
    posts.connect(posts.all[0])
    await posts.until_taken(1)

    assert posts.counts == [0, 0, 1]


async def test_who_is_stuck_swallows_few(tmp_path: Path, stack: ExitStack) -> None:
    """What is handed to it is lost until it goes on, or is ended."""
    posts = Posts(tmp_path, 2, stack)
    posts.begin()
    stuck = posts.all[1]
    stuck.pause()
    for _ in range(50):
        posts.connect(posts.all[0])
    await until(lambda: posts.counts[0] >= 44)
    stuck.resume()
    await posts.until_taken(50)

    assert 1 <= posts.counts[1] <= 6


async def test_who_ends_takes_what_was_handed_to_it_and_no_more(two: Posts) -> None:
    first, second = two.all
    first.has(8)
    second.pause()
    two.connect(first)
    await handed_to(second)
    second.accepting.end()
    assert two.counts == [0, 1]
    two.connect(first)
    await two.until_taken(2)

    assert two.counts == [1, 1]


async def test_who_has_left_gets_nothing_whatever_it_says_on_the_board(two: Posts) -> None:
    """Its connections end one by one, while it drains."""
    first, second = two.all
    first.has(8)
    second.balance.leave()
    second.has(1)
    two.connect(first)
    await two.until_taken(1)

    assert two.counts == [1, 0]


async def test_a_client_that_has_gone_meanwhile_is_nobodys(two: Posts) -> None:
    first, second = two.all
    first.has(8)
    second.pause()
    gone = two.connect(first)
    await handed_to(second)
    reset(gone)
    second.resume()
    staying = two.connect(first)
    await two.until_taken(1)

    assert second.names == [staying.getsockname()]


async def test_where_a_descriptor_is_missing_it_rests_and_counts_that(two: Posts) -> None:
    first, second = two.all
    first.has(8)
    second.pause()
    lost = two.connect(first)
    await handed_to(second)
    with no_more_files():
        second.resume()
        await until(lambda: b"accept_failures_total 1.0" in second.metrics.exposition())
    lost.settimeout(10)
    assert lost.recv(1) == b""
    two.connect(first)
    await two.until_taken(1)

    assert two.counts == [0, 1]

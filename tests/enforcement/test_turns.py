"""Long work is done one slice in a turn of the loop, whoever's it is."""

import asyncio

from kzproxy.enforcement.turns import Turns
from tests.enforcement.ticks import Ticks


async def test_of_all_work_one_slice_is_done_in_a_turn_in_the_order_of_asking() -> None:
    ticks, turns, done = Ticks(), Turns(), []

    async def work(name: str) -> None:
        for _ in range(3):
            await turns.take()
            ticks.note()
            done.append(name)

    with ticks:
        await asyncio.gather(*[work(name) for name in "abc"])
    assert set(ticks.noted.values()) == {1}
    assert "".join(done) == "abcabcabc"


async def test_who_gives_up_waiting_keeps_nobody_from_theirs() -> None:
    turns = Turns()
    loop = asyncio.get_running_loop()
    first, second, third = [loop.create_task(turns.take()) for _ in range(3)]
    await asyncio.sleep(0)
    first.cancel()
    second.cancel()
    await asyncio.wait_for(third, 5)
    await asyncio.wait_for(turns.take(), 5)

import os

import pytest

from soak.growth import GROWTH_AT_MOST_MIB, Held, Moment, back_to, memory_line, slope

MIB = 1024 * 1024


def moments(*resident_mib: float) -> list[Moment]:
    """One every 10 s."""
    return [
        Moment(seconds=10.0 * number, resident_bytes=int(each * MIB))
        for number, each in enumerate(resident_mib)
    ]


def test_a_slope_is_that_of_a_line() -> None:
    assert slope(moments(100, 110, 120)) == pytest.approx(MIB)
    assert slope(moments(100, 120, 100)) == pytest.approx(0)


def test_a_slope_of_one_moment_is_refused() -> None:
    with pytest.raises(ValueError, match="two moments"):
        slope(moments(100))


def test_memory_that_stays_passes_however_it_began() -> None:
    assert memory_line(moments(50, 100, 120, 120, 121, 120), 20.0).holds


def test_memory_that_grows_fails() -> None:
    step = GROWTH_AT_MOST_MIB / 2 + 0.1

    assert not memory_line(moments(100, 100, 100, 100 + step, 100 + 2 * step), 20.0).holds


def test_memory_that_nobody_looked_at_fails() -> None:
    assert not memory_line(moments(100, 100), 60.0).holds


def test_what_is_above_its_beginning_fails() -> None:
    before = {"worker 1": 9.0, "worker 2": 9.0}

    assert back_to("x", before, {"worker 1": 9.0, "worker 2": 8.0}).holds
    assert back_to("x", before, {"worker 1": 10.0, "worker 2": 9.0}).problems == (
        "worker 1: 10, at most 9",
    )
    assert back_to("x", before, {"worker 1": 9.0}).problems == ("worker 2: is not there any more",)


def test_a_process_says_what_it_holds() -> None:
    before = Held.by(os.getpid())
    reader, writer = os.pipe()
    try:
        assert Held.by(os.getpid()).descriptors == before.descriptors + 2
    finally:
        os.close(reader)
        os.close(writer)
    assert before.resident_bytes > MIB

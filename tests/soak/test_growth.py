import os
import subprocess

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


def held_by_one(descriptors: tuple[int, ...]) -> Held:
    """Return what a process holds that has these, and is at rest."""
    with subprocess.Popen(
        ["cat"], pass_fds=descriptors, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"on\n")
        process.stdin.flush()
        assert process.stdout.readline() == b"on\n"
        return Held.by(process.pid)


def test_a_process_says_what_it_holds() -> None:
    ends = os.pipe()
    try:
        without, with_them = held_by_one(()), held_by_one(ends)
    finally:
        for end in ends:
            os.close(end)
    assert with_them.descriptors == without.descriptors + 2
    assert without.resident_bytes > MIB

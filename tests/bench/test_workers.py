"""What a second worker adds is worked out from what was measured, and not hoped for."""

import pytest

from bench.machine import Cores
from bench.programs import CannotRunError
from bench.workers import GAIN, Worked, gains, missed, part, worker_cores


def clients(*numbers: range) -> list[frozenset[str]]:
    return [frozenset(f"127.1.0.{number:03}" for number in each) for each in numbers]


def worked(cpu_us: float, rate: float, *numbers: range) -> Worked:
    """The last worker shares its core, and so needs more."""
    return Worked(cpu_us=[cpu_us, 2 * cpu_us], rate=rate, clients=clients(*numbers))


ONE = worked(100, 10_000, range(200))


def test_two_that_cost_no_more_and_have_as_many_clients_are_twice_one() -> None:
    found = gains(ONE, worked(100, 12_000, range(100), range(100, 200)))
    assert (found["even_gain"], found[GAIN], found["clock_gain"]) == (2.0, 2.0, 1.2)


def test_two_that_stand_in_each_others_way_are_worth_less() -> None:
    found = gains(ONE, worked(125, 12_000, range(100), range(100, 200)))
    assert found[GAIN] == pytest.approx(1.6)


def test_two_of_which_one_has_all_clients_are_worth_one() -> None:
    found = gains(ONE, worked(100, 10_000, range(200), range(0)))
    assert (found["even_gain"], found[GAIN], found["busiest_percent"]) == (2.0, 1.0, 100.0)


def test_the_second_worker_has_its_own_core_only_where_one_is_left(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    assert worker_cores(Cores.of([0, 1]), 2) == [0, 1]
    monkeypatch.setattr("os.cpu_count", lambda: 4)
    assert worker_cores(Cores.of([0, 1, 2, 3]), 2) == [0, 3]
    with pytest.raises(CannotRunError):
        worker_cores(Cores.of([0]), 2)


@pytest.mark.parametrize(("gain", "below"), [(1.7, []), (1.69, [GAIN])])
def test_the_floor_is_a_least_and_not_a_most(gain: float, below: list[str]) -> None:
    held = part({GAIN: [gain]}, date="d", commit="c", load_averages=[0.1])
    assert missed(held) == below

"""Whoever begins the most sign-ins loses theirs first."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from kzproxy.web.begun_sign_ins import BegunSignIns
from tests.authentication.manual_clock import ManualClock

LIFE = timedelta(minutes=10)


def begun(of: BegunSignIns, address: str, *names: str) -> list[str]:
    """Begin some there; return the keys that had to go."""
    return [key for name in names for key in of.add(address, (name,), LIFE)]


def test_nothing_goes_while_there_is_room():
    assert begun(BegunSignIns(ManualClock(), most=3), "192.0.2.1", "a", "b", "c") == []


def test_the_greediest_lose_their_oldest():
    kept = BegunSignIns(ManualClock(), most=4)
    begun(kept, "192.0.2.7", "mine")
    begun(kept, "192.0.2.1", "a", "b", "c")
    assert begun(kept, "192.0.2.8", "another") == ["a"]
    assert begun(kept, "192.0.2.1", "d") == ["b"]
    assert len(kept) == 4


def test_a_site_is_one_however_many_addresses_it_has():
    kept = BegunSignIns(ManualClock(), most=3)
    begun(kept, "192.0.2.7", "mine")
    gone = [begun(kept, f"2001:db8:1:{n:x}::1", str(n)) for n in range(5)]
    assert gone == [[], [], ["0"], ["1"], ["2"]]


def test_all_that_a_sign_in_keeps_goes_together():
    kept = BegunSignIns(ManualClock(), most=1)
    kept.add("192.0.2.1", ("device", "user-code"), LIFE)
    assert kept.add("192.0.2.1", ("flow",), LIFE) == ("device", "user-code")


def test_what_has_ended_makes_room():
    clock = ManualClock()
    kept = BegunSignIns(clock, most=2)
    begun(kept, "192.0.2.1", "a", "b")
    clock.advance(LIFE)
    assert begun(kept, "192.0.2.1", "c", "d") == []
    assert begun(kept, "192.0.2.1", "e") == ["c"]


@given(
    steps=st.lists(
        st.tuples(st.sampled_from(["192.0.2.1", "192.0.2.2", "::1", ""]), st.integers(0, 400))
    )
)
def test_they_are_bounded_and_only_those_with_the_most_lose(steps: list[tuple[str, int]]):
    clock, most = ManualClock(), 5
    kept = BegunSignIns(clock, most)
    present: dict[str, tuple[str, float]] = {}
    for number, (address, seconds) in enumerate(steps):
        clock.advance(timedelta(seconds=seconds))
        now = clock.monotonic()
        present = {key: one for key, one in present.items() if one[1] > now}
        present[str(number)] = (address, now + LIFE.total_seconds())
        held = [one for one, _ in present.values()]
        gone = kept.add(address, (str(number),), LIFE)
        assert bool(gone) == (len(held) > most)
        for key in gone:
            loser, _ = present.pop(key)
            assert held.count(loser) == max(held.count(one) for one in held)
        assert len(kept) == len(present) <= most

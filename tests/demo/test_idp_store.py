"""What the demo provider remembers is bounded and ends."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from kzproxy.demo.idp_store import ExpiringStore
from tests.demo.conftest import MovableClock

MINUTE = timedelta(minutes=1)


def test_a_value_is_there_until_its_end(clock):
    store = ExpiringStore[str](clock, maximum=4)
    store.put("a", "kept", MINUTE)
    clock.move(seconds=59)
    assert store.get("a") == "kept"
    clock.move(seconds=1)
    assert store.get("a") is None
    assert store.live() == 0


def test_a_value_is_taken_once(clock):
    store = ExpiringStore[str](clock, maximum=4)
    store.put("a", "kept", MINUTE)
    assert store.take("a") == "kept"
    assert store.take("a") is None


def test_what_has_ended_makes_room_before_what_lives(clock):
    store = ExpiringStore[str](clock, maximum=2)
    store.put("lives", "x", 2 * MINUTE)
    store.put("ends", "x", MINUTE)
    clock.move(seconds=61)
    store.put("new", "x", MINUTE)
    assert store.get("lives") == "x"


@given(st.lists(st.text(max_size=2), max_size=40))
def test_never_more_than_the_maximum_and_always_the_newest(names):
    store = ExpiringStore[int](MovableClock(), maximum=3)
    for number, name in enumerate(names):
        store.put(name, number, MINUTE)
        assert store.live() <= 3
        assert store.get(name) == number

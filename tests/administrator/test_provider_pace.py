"""How much a provider is asked, by what it answered."""

from datetime import timedelta

import pytest

from kzproxy.administrator.provider_pace import MAX_UNANSWERED, ProviderPace
from tests.authentication.manual_clock import ManualClock


@pytest.fixture
def pace(clock) -> ProviderPace:
    return ProviderPace(3, clock)


def asked(pace: ProviderPace) -> None:
    assert pace.may_begin()
    pace.begun()


def seconds_of_silence(pace: ProviderPace, clock: ManualClock) -> int:
    for seconds in range(1000):
        if pace.may_begin():
            return seconds
        clock.advance(timedelta(seconds=1))
    raise AssertionError("never again")


def test_one_that_answers_is_asked_so_many_things_at_once(pace):
    for _ in range(3):
        asked(pace)
    assert not pace.may_begin()
    assert not pace.answered()
    asked(pace)
    pace.ended()
    asked(pace)


def test_pauses_grow_to_a_bound(pace, clock):
    pauses = []
    for _ in range(8):
        asked(pace)
        pace.silent()
        pauses.append(seconds_of_silence(pace, clock))
    assert pauses == [1, 2, 4, 8, 15, 15, 15, 15]


def test_those_that_were_under_way_together_are_one_silence(pace, clock):
    for _ in range(3):
        asked(pace)
    assert [pace.silent(), pace.silent(), pace.silent()] == [True, False, False]
    assert seconds_of_silence(pace, clock) == 1


def test_the_first_answer_lets_all_go_on(pace, clock):
    asked(pace)
    pace.silent()
    clock.advance(timedelta(seconds=1))
    asked(pace)
    assert not pace.may_begin()
    assert pace.answered()
    for _ in range(3):
        asked(pace)


@pytest.mark.parametrize(("wished", "pause"), [(0, 1), (1, 1), (30, 30), (60, 60), (9999, 60)])
def test_a_pause_that_is_asked_for_is_given_within_a_bound(pace, clock, wished, pause):
    asked(pace)
    pace.silent(timedelta(seconds=wished))
    assert seconds_of_silence(pace, clock) == pause


def test_a_silence_about_one_session_alone_is_told_from_that_of_the_provider(pace):
    asked(pace)
    assert not pace.silent_about("one"), "it may be silent about all"
    pace.silent()
    pace.answered("another")
    assert not pace.silent_about("a third"), "it has not answered since"
    assert pace.silent_about("one")
    assert not pace.silent_about("one"), "it has not answered since"
    pace.answered("one")
    assert not pace.silent_about("one"), "it was answered about meanwhile"


def test_a_silent_provider_is_tried_with_those_it_was_not_asked_about(pace):
    for session in ("one", "two", "one"):
        pace.silent_about(session)
    assert pace.rank("one") == pace.rank("two") == pace.rank("new")
    asked(pace)
    pace.silent()
    assert pace.rank("new") > pace.rank("two") > pace.rank("one")


def test_it_is_remembered_of_so_many_sessions_that_nothing_was_heard(pace):
    for number in range(MAX_UNANSWERED + 1):
        pace.silent_about(str(number))
    pace.answered("another")
    assert not pace.silent_about("0")
    assert pace.silent_about(str(MAX_UNANSWERED))

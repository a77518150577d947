"""The best source counts, a lesser one can only take away, and nothing counts after its time."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from kzproxy.attributes.device import Fact
from kzproxy.posture.merge import Statement, merged

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
PASSED, FAILED, UNKNOWN = Fact.PASSED, Fact.FAILED, Fact.UNKNOWN
SELF, KEY, API = 0, 1, 3


def said(fact, rank=KEY, source="", age=1, ttl=60):
    at = NOW - timedelta(minutes=age)
    return Statement(
        source=source or f"source-{rank}",
        rank=rank,
        fact=fact,
        observed_at=at,
        expires_at=at + timedelta(minutes=ttl),
    )


def fact(*statements):
    return merged(statements, NOW).result.fact


def test_one_source_is_believed():
    for each in Fact:
        assert fact(said(each)) is each


def test_the_best_source_counts_where_the_lesser_does_not_know():
    assert fact(said(UNKNOWN, KEY), said(PASSED, API)) is PASSED
    assert fact(said(PASSED, KEY), said(UNKNOWN, API)) is PASSED


def test_a_device_that_admits_what_the_mdm_denies_makes_it_unknown():
    found = merged([said(FAILED, KEY), said(PASSED, API)], NOW)

    assert found.result.fact is UNKNOWN
    assert found.is_disputed


def test_a_device_cannot_talk_away_what_the_mdm_says():
    found = merged([said(PASSED, KEY), said(FAILED, API, "mdm")], NOW)

    assert (found.result.fact, found.result.source) == (FAILED, "mdm")
    assert found.is_disputed


def test_two_that_are_worth_the_same_and_disagree_leave_it_unknown():
    found = merged([said(PASSED, API, "mdm"), said(FAILED, API, "edr")], NOW)

    assert (found.result.fact, found.result.source) == (UNKNOWN, "edr, mdm")
    assert found.is_disputed


def test_a_dispute_ends_when_the_first_word_is_over():
    statements = [said(PASSED, API, "mdm", ttl=10), said(FAILED, API, "edr", ttl=30)]

    found = merged(statements, NOW)

    assert found.result.expires_at == NOW + timedelta(minutes=9)
    assert merged(statements, found.result.expires_at).result.fact is FAILED


def test_what_two_say_holds_as_long_as_one_says_so():
    found = merged([said(PASSED, API, "mdm", ttl=10), said(PASSED, API, "edr", ttl=30)], NOW)

    assert found.result.expires_at == NOW + timedelta(minutes=29)


def test_a_stale_best_source_leaves_the_word_to_the_next():
    found = merged([said(FAILED, API, ttl=1), said(PASSED, KEY)], NOW)

    assert (found.result.fact, found.result.source, found.is_disputed) == (
        PASSED,
        "source-1",
        False,
    )


def test_where_all_is_stale_nobody_knows():
    found = merged([said(PASSED, KEY, age=90)], NOW)

    assert found.result.fact is UNKNOWN
    assert found.result.expires_at <= NOW


STATEMENTS = st.builds(
    said,
    st.sampled_from(Fact),
    st.sampled_from([SELF, KEY, API]),
    st.sampled_from(["a", "b", "c", "d"]),
    st.integers(0, 90),
    st.sampled_from([0, 15, 60]),
)
MANY = st.lists(STATEMENTS, min_size=1, max_size=6)


@given(MANY, st.randoms())
def test_the_order_does_not_matter(statements, random):
    shuffled = list(statements)
    random.shuffle(shuffled)

    assert merged(shuffled, NOW) == merged(statements, NOW)


@given(MANY)
def test_it_passed_only_if_the_best_that_knows_says_so_and_nobody_says_otherwise(statements):
    telling = [one for one in statements if one.fact is not UNKNOWN and one.expires_at > NOW]
    best = [one for one in telling if one.rank == max(each.rank for each in telling)]

    is_passed = fact(*statements) is PASSED

    assert is_passed == (bool(best) and {one.fact for one in telling} == {PASSED})


@given(MANY, STATEMENTS)
def test_another_source_makes_it_pass_only_if_it_is_the_best_that_knows_and_says_so(
    statements, other
):
    before, after = fact(*statements), fact(*statements, other)
    telling = [one for one in statements if one.fact is not UNKNOWN and one.expires_at > NOW]

    if before is not PASSED and after is PASSED:
        assert other.fact is PASSED
        assert all(other.rank > one.rank for one in telling)


@given(MANY, STATEMENTS)
def test_what_a_better_source_says_failed_no_lesser_one_changes(statements, other):
    telling = [one for one in statements if one.fact is not UNKNOWN and one.expires_at > NOW]

    if fact(*statements) is FAILED and other.rank < max(one.rank for one in telling):
        assert fact(*statements, other) is FAILED


@given(MANY, st.integers(0, 200))
def test_stale_never_passes(statements, minutes):
    later = NOW + timedelta(minutes=minutes)

    found = merged(statements, later).result

    if found.fact is PASSED:
        assert later < found.expires_at
        assert any(one.fact is PASSED and later < one.expires_at for one in statements)


@given(MANY)
def test_a_result_holds_to_its_end_where_nothing_is_said(statements):
    found = merged(statements, NOW)
    ends = [one.expires_at for one in statements if one.expires_at > NOW]
    just_before = min(ends, default=NOW) - timedelta(microseconds=1)

    if just_before > NOW:
        assert merged(statements, just_before) == found

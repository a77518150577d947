"""A renewal token is good once, and for a while more where the answer was lost."""

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.administrator.session import SessionRecord
from kzproxy.errors.kinds import ServiceUnavailable
from kzproxy.web.renewal_token import LOST_ANSWER, RenewalToken, Replayed, rotated

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ID = "0123456789abcdef" * 2
ONE = timedelta(seconds=1)


def session(token: RenewalToken) -> SessionRecord:
    return SessionRecord(
        id=ID,
        username="alice",
        issuer="https://idp.example.com",
        subject="00u1",
        began_at=NOW,
        ends_at=NOW + timedelta(hours=12),
        seen_at=NOW,
        verified_at=NOW,
        key_thumbprint="ab" * 32,
        renewal_digest=token.digest,
    )


def renewed(
    record: SessionRecord, presented: RenewalToken, following: RenewalToken, now: datetime
) -> SessionRecord:
    """Renew a session in the moment in which that is asked for."""
    return rotated(record, presented, following, now, asked_at=now)


def test_each_token_is_followed_by_another():
    tokens = [RenewalToken.new(ID) for _ in range(4)]
    record = session(tokens[0])
    for present, following in pairwise(tokens):
        record = renewed(record, present, following, NOW)
        assert following.is_of(record)
        assert present.is_of(record)
    assert not tokens[0].is_of(record)


def test_the_one_before_counts_for_a_minute_from_its_first_use():
    first, lost, second, third = (RenewalToken.new(ID) for _ in range(4))
    record = renewed(session(first), first, lost, NOW)
    record = renewed(record, first, second, NOW + LOST_ANSWER - ONE)
    assert not lost.is_of(record)
    with pytest.raises(Replayed):
        renewed(record, first, third, NOW + LOST_ANSWER)
    with pytest.raises(Replayed):
        renewed(record, lost, third, NOW + ONE)
    assert renewed(record, second, third, NOW + timedelta(hours=3)).renewed_at != NOW


def test_what_was_sent_before_the_renewal_that_was_answered_last_gives_nothing():
    """Its client has given it up, and renewed anew; both were still under way."""
    first, given, late = (RenewalToken.new(ID) for _ in range(3))
    record = rotated(session(first), first, given, NOW, asked_at=NOW - ONE)
    with pytest.raises(ServiceUnavailable, match="a later renewal"):
        rotated(record, first, late, NOW, asked_at=NOW - 2 * ONE)
    answered = rotated(record, first, late, NOW, asked_at=NOW - ONE)
    assert answered.renewal_digest == late.digest


def test_before_any_renewal_there_is_no_token_before():
    first, other = RenewalToken.new(ID), RenewalToken.new(ID)
    with pytest.raises(Replayed):
        renewed(session(first), other, RenewalToken.new(ID), NOW)
    empty = RenewalToken(text="", session_id=ID, digest="")
    with pytest.raises(Replayed):
        renewed(session(first), empty, RenewalToken.new(ID), NOW)


def test_a_clock_that_was_set_back_lets_nothing_through():
    first, second = RenewalToken.new(ID), RenewalToken.new(ID)
    record = renewed(session(first), first, second, NOW)
    with pytest.raises(Replayed):
        renewed(record, first, RenewalToken.new(ID), NOW - ONE)


def test_it_is_read_as_it_was_made_and_does_not_print():
    token = RenewalToken.new(ID)
    assert RenewalToken.read(token.text) == token
    assert token.text not in repr(token)
    assert token.text.rpartition(".")[2] not in repr(token)


@given(text=st.text() | st.from_regex(r"[0-9a-f]{32}\.[A-Za-z0-9_-]{43}", fullmatch=True))
def test_any_text_is_one_or_none(text: str):
    read = RenewalToken.read(text)
    if read is not None:
        assert read.text == text
        assert len(read.session_id) == 32
        assert text.startswith(f"{read.session_id}.")


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 90)), max_size=12))
def test_whatever_is_presented_the_present_token_goes_on(steps: list[tuple[int, int]]):
    """Only the present token, and for a minute the one before, ever lead on."""
    tokens = [RenewalToken.new(ID)]
    record, now = session(tokens[0]), NOW
    used_at: datetime | None = None
    for back, seconds in steps:
        now += timedelta(seconds=seconds)
        presented = tokens[max(len(tokens) - 1 - back, 0)]
        is_present = presented is tokens[-1]
        following = RenewalToken.new(ID)
        try:
            record = renewed(record, presented, following, now)
        except Replayed:
            assert not is_present
            continue
        if is_present:
            used_at = now
        else:
            assert used_at is not None
            assert now - used_at < LOST_ANSWER
        tokens.append(following)
        assert following.digest == record.renewal_digest

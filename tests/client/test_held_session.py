"""A session as its client holds it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.client.held_session import HeldSession, read_session, session_fields
from kzproxy.client.token_cache import CacheEntry

HOUR = 3600


def session(**changes: object) -> HeldSession:
    fields: dict[str, object] = {
        "id": "0123",
        "username": "alice",
        "token": "secret-token",
        "ends_at": 12 * HOUR,
        "certificate": "PEM",
        "certificate_begins_at": 0,
        "certificate_ends_at": 24 * HOUR,
        "token_endpoint": "https://kz.test/token",
        "nonce": "secret-nonce",
    }
    return HeldSession(**(fields | changes))  # type: ignore[arg-type]


def test_what_is_written_is_read_back() -> None:
    fields = session_fields(session())
    assert session_fields(read_session(fields)) == fields


@pytest.mark.parametrize("name", sorted(session_fields(session())))
def test_a_field_of_another_kind_is_refused(name: str) -> None:
    with pytest.raises(TypeError):
        read_session(session_fields(session()) | {name: 1.5})


def test_a_field_of_a_newer_version_does_no_harm() -> None:
    assert read_session(session_fields(session()) | {"colour": "blue"}).id == "0123"


@given(st.integers(0, 24 * HOUR))
def test_a_certificate_is_renewed_in_the_last_third_of_its_life(now: int) -> None:
    assert session().wants_certificate(now) == (now >= 16 * HOUR)


def test_no_token_is_shown_and_none_is_left_at_the_end() -> None:
    held = session()
    entry = CacheEntry(
        arguments=("a",),
        id_token="",
        refresh_token="secret-renewal",
        expires_at=1,
        refresh_at=1,
        session=held,
    )
    assert "secret" not in repr(held) + repr(entry)
    ended = entry.ended("because")
    assert ended.session is not None
    assert "secret" not in str(session_fields(ended.session)) + ended.refresh_token + ended.bearer
    assert (ended.session.end_message, ended.session.id) == ("because", "0123")


def test_the_bearer_is_the_session_token_or_the_id_token() -> None:
    times = {"expires_at": 1, "refresh_at": 1}
    direct = CacheEntry(arguments=(), id_token="id", refresh_token="", **times)
    kept = CacheEntry(arguments=(), id_token="", refresh_token="", session=session(), **times)
    assert (direct.bearer, kept.bearer) == ("id", "secret-token")

"""What kzproxy's sign-in answers, and what it asks for."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.client.failure import ClientFailure
from kzproxy.client.session_grant import LONGEST_TOKEN, parse_grant
from kzproxy.client.step_up import ANY_SIGN_IN, MAX_AGE_SECONDS, StepUp

GOOD: dict[str, Any] = {
    "access_token": "secret-token",
    "token_type": "Bearer",
    "expires_in": 300,
    "refresh_token": "secret-renewal",
    "session_id": "0123456789abcdef0123456789abcdef",
    "session_ends_at": "2026-06-01T12:00:00Z",
}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=5,
)


def test_an_answer_is_read() -> None:
    grant = parse_grant(GOOD | {"certificate": "PEM", "username": "alice", "nonce": "n"})
    assert grant.life == timedelta(minutes=5)
    assert grant.session_ends_at == datetime(2026, 6, 1, 12, tzinfo=UTC)
    assert (grant.certificate, grant.username, grant.nonce) == ("PEM", "alice", "n")
    assert "secret" not in repr(grant)


@given(st.dictionaries(st.sampled_from([*GOOD, "certificate", "username", "nonce"]), json_values))
def test_any_other_answer_is_read_or_refused(changes: dict[str, object]) -> None:
    try:
        grant = parse_grant(GOOD | changes)
    except ClientFailure:
        return
    assert grant.token
    assert grant.renewal_token
    assert timedelta(0) < grant.life <= LONGEST_TOKEN
    assert grant.session_ends_at.tzinfo is not None


@pytest.mark.parametrize("missing", sorted(GOOD))
def test_what_must_be_there_is_named(missing: str) -> None:
    with pytest.raises(ClientFailure, match="token" if missing == "token_type" else missing):
        parse_grant({name: value for name, value in GOOD.items() if name != missing})


@given(st.dictionaries(st.sampled_from(["acr_values", "max_age"]), json_values))
def test_a_step_up_of_any_shape_becomes_parameters_that_can_be_sent(
    document: dict[str, object],
) -> None:
    found = StepUp.parse(document)
    assert found.acr_values.isprintable()
    assert 0 <= (found.max_age_seconds or 0) <= MAX_AGE_SECONDS
    assert bool(found) == bool(found.parameters)


@pytest.mark.parametrize(
    ("document", "parameters"),
    [
        ({}, {}),
        ({"acr_values": "phr phrh"}, {"acr_values": "phr phrh"}),
        ({"acr_values": ["phr", "phrh"], "max_age": 0}, {"acr_values": "phr phrh", "max_age": "0"}),
        ({"max_age": "300"}, {"max_age": "300"}),
        ({"max_age": -1, "acr_values": "a\x1b[2J"}, {}),
    ],
)
def test_a_step_up_is_read_off_an_error(
    document: dict[str, object], parameters: dict[str, str]
) -> None:
    assert StepUp.parse(document).parameters == parameters
    assert not ANY_SIGN_IN

"""Subjects as others write them, and what is made of any JSON that claims to be one."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.administrator.event_subject import USER, read_subject
from kzproxy.administrator.signal import SignalSubject

ISS_SUB = {"format": "iss_sub", "iss": "https://idp.example.com", "sub": "00u1"}
ALICE = SignalSubject(issuer="https://idp.example.com", subject="00u1")
EMAIL = SignalSubject(email="alice@example.com")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (ISS_SUB, ALICE),
        ({"subject_type": "iss-sub", "iss": ALICE.issuer, "sub": "00u1"}, ALICE),
        ({"format": "email", "email": "alice@example.com"}, EMAIL),
        ({"format": "account", "uri": "acct:alice@example.com"}, EMAIL),
        ({"format": "opaque", "id": "00u1"}, SignalSubject(subject="00u1")),
        ({"format": "aliases", "identifiers": [{"format": "did"}, ISS_SUB]}, ALICE),
        (
            {"format": "aliases", "identifiers": [{"format": "email", "email": "a@b"}, ISS_SUB]},
            ALICE,
        ),
        ({"format": "complex", "user": ISS_SUB}, ALICE),
        ({"user": ISS_SUB}, ALICE),
        (
            {
                "format": "complex",
                "user": {"format": "email", "email": "alice@example.com"},
                "session": {"format": "opaque", "id": "sid-1"},
                "device": {"format": "iss_sub", "iss": "https://mdm.example", "sub": "laptop-1"},
                "tenant": {"format": "opaque", "id": "acme"},
            },
            SignalSubject(email=EMAIL.email, idp_session="sid-1", device_id="laptop-1"),
        ),
        ({"format": "complex", "tenant": {"format": "opaque"}}, SignalSubject(tenant=True)),
    ],
)
def test_a_subject_is_read(said: dict[str, Any], meant: SignalSubject) -> None:
    assert read_subject(said, USER) == (meant, frozenset())


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"format": "iss_sub", "iss": "https://idp.example.com"},
        {"format": "email", "email": "alice@example.com@example.org"},
        {"format": "account", "uri": "https://example.com/alice"},
        {"format": "phone_number", "phone_number": "+12065550100"},
        {"format": "opaque", "id": "a\nb"},
        {"format": "aliases", "identifiers": [{"format": "aliases", "identifiers": [ISS_SUB]}]},
        {"format": "complex"},
        {"format": "complex", "group": {"format": "opaque", "id": "admins"}},
        {"format": "complex", "tenant": {"format": "opaque"}, "group": {"format": "opaque"}},
        {"format": "complex", "tenant": {"format": "opaque"}, "user": {"format": "did"}},
    ],
)
def test_what_cannot_be_read_is_nobody(said: dict[str, Any]) -> None:
    """Above all it is not everybody."""
    assert read_subject(said, USER).subject is None


def test_what_is_left_unread_is_told() -> None:
    said = {"user": ISS_SUB, "session": {"format": "jwt_id"}, "application": {"format": "opaque"}}
    assert read_subject(said, USER) == (ALICE, frozenset({"session", "application"}))


_FIELDS = "format subject_type iss sub email uri id identifiers"
_MEMBERS = "user device session tenant group application org_unit"
NAMES = st.sampled_from(f"{_FIELDS} {_MEMBERS}".split())
WORDS = st.sampled_from(["complex", "iss_sub", "email", "opaque", "aliases", "account", "x@y", ""])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | WORDS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(NAMES, JSON, max_size=5), st.sampled_from(["user", "device", "session", ""]))
def test_anything_is_read_or_nobody(said: dict[str, Any], role: str) -> None:
    """It never fails, and never means everybody where somebody is named."""
    subject, unread = read_subject(said, role)
    if subject is None:
        return
    named = (subject.subject, subject.email, subject.idp_session, subject.device_id)
    assert subject.tenant is not any(named)
    if subject.tenant:
        assert "tenant" in said
        assert not unread

"""Events as others write them: whatever their members are, they are a signal, none, or refused."""

from collections.abc import Mapping
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.administrator.caep import EVENT_TYPES, NotForUs, read_signal
from kzproxy.administrator.signal import Signal, SignalKind, SignalSubject
from kzproxy.authentication.security_event import SecurityEvent, SetRefused
from tests.authentication.manual_clock import ManualClock

IDP = "https://idp.example.com"
ALICE = {"format": "iss_sub", "iss": IDP, "sub": "00u1"}
NOW = ManualClock().now()


def event(
    kind: str, members: Mapping[str, object], subject: Mapping[str, object] = ALICE
) -> SecurityEvent:
    return SecurityEvent(
        issuer=IDP,
        id="24c6",
        issued_at=NOW - timedelta(seconds=5),
        type=EVENT_TYPES + kind,
        members=members,
        subject=subject,
    )


def read(kind: str, members: Mapping[str, object], subject: Mapping[str, object] = ALICE) -> Signal:
    return read_signal(event(kind, members, subject), NOW, frozenset())


def test_an_event_counts_from_when_it_happened() -> None:
    at = int((NOW - timedelta(hours=1)).timestamp())
    assert read("session-revoked", {"event_timestamp": at}).observed_at == NOW - timedelta(hours=1)
    assert read("session-revoked", {}).observed_at == NOW - timedelta(seconds=5)


def test_it_never_counts_from_later_than_now() -> None:
    ahead = int((NOW + timedelta(minutes=4)).timestamp())
    assert read("session-revoked", {"event_timestamp": ahead}).observed_at == NOW


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"en": "Account locked.", "de": "Gesperrt"}, "Account locked"),
        ({"de": "Gesperrt"}, "Gesperrt"),
        ("Account locked", "Account locked"),
        ({"en": "two\nlines\x1b[31m"}, "two lines [31m"),
        ({"en": "x" * 1000}, "x" * 300),
        ({}, ""),
        ({"en": 7}, ""),
        (None, ""),
    ],
)
def test_users_are_told_one_short_line(said: object, told: str) -> None:
    assert read("session-revoked", {"reason_user": said}).message == told


@pytest.mark.parametrize(
    ("kind", "members", "meant"),
    [
        ("session-revoked", {}, SignalSubject(idp_session="x")),
        (
            "device-compliance-change",
            {"current_status": "compliant"},
            SignalSubject(device_id="x"),
        ),
        (
            "risk-level-change",
            {"principal": "DEVICE", "current_level": "LOW"},
            SignalSubject(device_id="x"),
        ),
        (
            "risk-level-change",
            {"principal": "SESSION", "current_level": "LOW"},
            SignalSubject(idp_session="x"),
        ),
        ("risk-level-change", {"current_level": "LOW"}, SignalSubject(subject="x")),
        ("assurance-level-change", {"current_level": "aal1"}, SignalSubject(subject="x")),
    ],
)
def test_an_opaque_name_is_of_what_the_event_is_about(
    kind: str, members: dict[str, object], meant: SignalSubject
) -> None:
    assert read(kind, members, {"format": "opaque", "id": "x"}).subject == meant


def test_what_ends_access_is_taken_to_mean_more_rather_than_nothing() -> None:
    subject = {"user": ALICE, "session": {"format": "jwt_id", "iss": IDP, "jti": "x"}}
    assert read("session-revoked", {}, subject).subject == SignalSubject(issuer=IDP, subject="00u1")
    with pytest.raises(NotForUs):
        read("token-claims-change", {"claims": {"groups": []}}, subject)


NAMES = st.sampled_from(
    [
        *("claims", "credential_type", "change_type", "current_level", "previous_level"),
        *("current_status", "principal", "event_timestamp", "reason_user", "reason_admin"),
        *("namespace", "change_direction", "x509_serial"),
    ]
)
WORDS = st.sampled_from(["create", "revoke", "compliant", "HIGH", "DEVICE", "x509", "RFC8176", ""])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | WORDS | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@given(
    st.sampled_from([kind.value for kind in SignalKind] + ["other"]),
    st.dictionaries(NAMES, JSON, max_size=6),
    st.dictionaries(st.sampled_from(["format", "id", "user", "device", "tenant"]), JSON),
)
def test_whatever_its_members_are_it_is_a_signal_or_not(
    kind: str, members: dict[str, object], subject: dict[str, object]
) -> None:
    try:
        signal = read(kind, members, subject)
    except (NotForUs, SetRefused):
        return
    assert signal.kind is not SignalKind.SIGNED_OUT
    assert signal.observed_at <= NOW
    assert signal.message.isprintable()
    assert signal.subject != SignalSubject()


@pytest.mark.parametrize(
    ("kind", "members"),
    [
        ("risk-level-change", {"current_level": "NONE"}),
        ("risk-level-change", {"current_level": "low"}),
        ("risk-level-change", {}),
        ("device-compliance-change", {"current_status": "fine"}),
        ("device-compliance-change", {}),
        ("credential-change", {"credential_type": "password", "change_type": "lost"}),
        ("credential-change", {"change_type": "revoke"}),
        ("assurance-level-change", {}),
        ("token-claims-change", {"claims": {}}),
        ("token-claims-change", {"claims": ["a"]}),
        ("session-revoked", {"event_timestamp": "today"}),
        ("session-revoked", {"event_timestamp": int(NOW.timestamp()) + 3600}),
    ],
)
def test_an_event_that_does_not_say_what_it_must_is_refused(
    kind: str, members: Mapping[str, object]
) -> None:
    with pytest.raises(SetRefused, match=r"must be|missing|event_timestamp"):
        read(kind, members)


def test_a_risk_is_of_one_of_three_levels() -> None:
    for level in ("LOW", "MEDIUM", "HIGH"):
        assert read("risk-level-change", {"current_level": level}).value["current_level"] == level

"""Reports are believed where they are signed, meant for us and fresh, and in nothing else."""

import base64
import json
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.client.posture.report import signed_report
from kzproxy.posture.checks import REPORTED
from kzproxy.posture.report import MAX_REPORT_CHARS, REPORT_TYPE, ReportRefused, verified_report
from tests.authentication.manual_clock import ManualClock
from tests.posture.scene import URL, DeviceKey, claims, unpadded

KEY = DeviceKey()
CLOCK = ManualClock()


def verified(report, key=KEY):
    return verified_report(report, key.public_key, audience=URL, now=CLOCK.now(), names=REPORTED)


def test_what_the_clients_side_signs_is_believed_here():
    report = verified(signed_report(KEY, URL, "n-1", clock=CLOCK))

    assert report.nonce == "n-1"
    assert report.system.platform == "linux"
    assert report.checks["disk_encrypted"].why
    assert report.age < timedelta(seconds=1)


def test_a_report_says_what_it_says():
    report = verified(KEY.jws(claims(CLOCK)))

    assert report.checks["firewall"].v is True
    assert (report.system.id, report.hardware.machine) == ("ubuntu", "m-1")


def test_checks_that_are_not_known_are_passed_over_whatever_they_hold():
    checks = {"firewall": {"v": False}, "new": [1, {"x": None}], "other": {"v": "text"}}

    assert set(verified(KEY.jws(claims(CLOCK, checks=checks))).checks) == {"firewall"}


def test_fields_that_are_not_known_are_passed_over():
    said = claims(CLOCK, extra={"a": 1}) | {"iss": "device:x", "boot_id": "b", "later": []}

    assert verified(KEY.jws(said)).nonce == "n"


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "JWT"},
        {"typ": "kzproxy-enrolment+jwt"},
        {"typ": REPORT_TYPE.upper()},
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "es256"},
        {"kid": "other"},
        {"jwk": {}},
        {"crit": ["b64"]},
        {"typ": None},
    ],
)
def test_another_header_is_refused(header):
    right = json.loads(base64.urlsafe_b64decode(KEY.jws({}).split(".")[0] + "=="))

    with pytest.raises(ReportRefused):
        verified(KEY.jws(claims(CLOCK), {**right, **header}))


def test_a_report_by_another_key_is_refused_even_where_it_names_this_one():
    header, body, _ = KEY.jws(claims(CLOCK)).split(".")
    signature = DeviceKey().jws(claims(CLOCK)).split(".")[2]

    with pytest.raises(ReportRefused, match="not signed by the key"):
        verified(f"{header}.{body}.{signature}")


def test_a_report_for_another_key_is_refused():
    with pytest.raises(ReportRefused, match="names another key"):
        verified(DeviceKey().jws(claims(CLOCK)))


def test_a_key_on_another_curve_signs_no_report():
    other = DeviceKey()
    other.public_key = ec.generate_private_key(ec.SECP384R1()).public_key()

    with pytest.raises(ReportRefused, match="P-256"):
        verified(KEY.jws(claims(CLOCK)), other)


@pytest.mark.parametrize("skew", [-61, 61, 86400])
def test_a_report_of_another_time_is_refused_and_names_both(skew):
    said = claims(CLOCK)
    said["iat"] += skew

    with pytest.raises(ReportRefused, match="compare the clocks"):
        verified(KEY.jws(said))


@pytest.mark.parametrize("skew", [-60, 0, 60])
def test_a_minute_more_or_less_is_no_matter(skew):
    said = claims(CLOCK)
    said["iat"] += skew

    assert verified(KEY.jws(said)).checks


def test_a_report_for_another_server_is_refused():
    with pytest.raises(ReportRefused, match="not for https://kzproxy"):
        verified(KEY.jws(claims(CLOCK) | {"aud": "https://evil.example.com"}))


def test_what_was_collected_before_it_was_signed_is_that_old():
    report = verified(KEY.jws(claims(CLOCK, collected_at="2026-06-01T11:30:00Z")))

    assert report.age == timedelta(minutes=30)


@pytest.mark.parametrize("at", ["2026-06-01T12:00:30Z", "2030-01-01T00:00:00Z"])
def test_what_was_collected_later_than_it_was_signed_is_not_younger_than_now(at):
    assert verified(KEY.jws(claims(CLOCK, collected_at=at))).age == timedelta(0)


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": "kzproxy.posture/v2"},
        {"os": {}},
        {"os": {"platform": "x" * 257}},
        {"hardware": {"serial": 5}},
        {"checks": {"firewall": {"v": "yes"}}},
        {"checks": {"firewall": {"v": 1.5}}},
        {"checks": {"firewall": {"v": -1}}},
        {"checks": {"firewall": True}},
        {"checks": {f"c{number}": {} for number in range(65)}},
        {"checks": []},
        {"collected_at": "2026-06-01T11:30:00"},
        {"collected_at": 5},
    ],
)
def test_a_report_in_another_form_is_refused(changes):
    with pytest.raises(ReportRefused, match="cannot be read"):
        verified(KEY.jws(claims(CLOCK, **changes)))


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"\xff", b"[" * 9000, b'{"aud":1}'])
def test_claims_that_are_none_are_refused(body):
    with pytest.raises(ReportRefused):
        verified(KEY.jws(body))


def test_a_report_that_is_too_large_is_refused_before_it_is_read():
    with pytest.raises(ReportRefused, match="over 16384 characters"):
        verified("x" * (MAX_REPORT_CHARS + 1))


def test_another_spelling_of_the_same_signature_is_refused():
    report = KEY.jws(claims(CLOCK))
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = letters[letters.index(report[-1]) ^ 1]

    with pytest.raises(ReportRefused):
        verified(report[:-1] + other)


@given(st.text(max_size=200) | st.from_regex(r"[\w-]*\.[\w-]*\.[\w-]*", fullmatch=True))
def test_any_text_is_believed_or_refused(text):
    with pytest.raises(ReportRefused):
        verified(text)


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=10),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
        max_leaves=10,
    )
)
def test_any_signed_document_is_believed_or_refused(document):
    with pytest.raises(ReportRefused):
        verified(KEY.jws(document))


@given(st.binary(max_size=80))
def test_any_signature_that_is_not_the_keys_is_refused(signature):
    header, body, _ = KEY.jws(claims(CLOCK)).split(".")

    with pytest.raises(ReportRefused):
        verified(f"{header}.{body}.{unpadded(signature)}")

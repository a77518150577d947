"""What proves that a device has its key."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.devices.proof import Purpose, verified_proof
from kzproxy.errors.kinds import BadRequest
from tests.devices.machine import URL, Machine, base64url

MACHINE = Machine()
GOOD = MACHINE.proof("n", name="a laptop", serial="S1", platform="linux")


def verified(proof, machine=MACHINE, purpose=Purpose.ENROL, audience=URL):
    key = machine.key.public_key()
    return verified_proof(proof, key, audience=audience, purpose=purpose)


def test_a_proof_says_what_the_device_says():
    proof = verified(GOOD)
    assert (proof.nonce, proof.name, proof.serial) == ("n", "a laptop", "S1")


def test_a_proof_by_another_key_is_none():
    with pytest.raises(BadRequest, match="another key"):
        verified(GOOD, Machine())


def test_a_proof_that_names_the_key_and_is_signed_by_another_is_none():
    forged = Machine().signed(MACHINE.header(), {"aud": URL, "nonce": "n", "purpose": "enrol"})
    with pytest.raises(BadRequest, match="not signed by the key"):
        verified(forged)


def test_a_proof_for_one_thing_is_none_for_another():
    with pytest.raises(BadRequest, match="to enrol, not to certificate"):
        verified(GOOD, purpose=Purpose.CERTIFICATE)


def test_a_proof_for_another_kzproxy_is_none():
    with pytest.raises(BadRequest, match=r"not for https://other\.example\.com"):
        verified(GOOD, audience="https://other.example.com")


@pytest.mark.parametrize(
    "change",
    [
        {"typ": "kzproxy-posture+jwt"},
        {"typ": "JWT"},
        {"alg": "none"},
        {"alg": "HS256"},
        {"alg": "ES384"},
        {"kid": ""},
        {"jwk": {}},
        {"crit": ["b64"], "b64": False},
    ],
)
def test_another_header_makes_no_proof(change):
    claims = {"aud": URL, "nonce": "n", "purpose": "enrol"}
    with pytest.raises(BadRequest):
        verified(MACHINE.signed(MACHINE.header() | change, claims))


def test_a_signature_in_another_form_is_refused():
    head, claims, signature = GOOD.split(".")
    for other in ("", signature[:-4], signature + "AAAA", base64url(bytes(64))):
        with pytest.raises(BadRequest):
            verified(f"{head}.{claims}.{other}")


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c.d", "....", "a" * 5000, "ä.ö.ü"])
def test_what_is_no_jws_is_no_proof(text):
    with pytest.raises(BadRequest):
        verified(text)


@given(st.integers(0, len(GOOD) - 1), st.characters(codec="ascii"))
def test_a_proof_that_was_changed_is_none(place, letter):
    changed = GOOD[:place] + letter + GOOD[place + 1 :]
    if changed != GOOD:
        with pytest.raises(BadRequest):
            verified(changed)


def test_padding_and_other_alphabets_are_refused():
    header = base64.b64encode(json.dumps(MACHINE.header()).encode()).decode()
    _, claims, signature = GOOD.split(".")
    with pytest.raises(BadRequest):
        verified(f"{header}=.{claims}.{signature}")

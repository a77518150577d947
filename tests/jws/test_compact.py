"""Nothing is read that the key has not signed, as what it was signed as."""

import base64
import json

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.jws.compact import NotSigned, key_id, signed_claims
from tests.devices.machine import Machine, base64url

TYPE = "kzproxy-test+jwt"
MACHINE = Machine()


class Said(msgspec.Struct, frozen=True, kw_only=True):
    n: int


def header(**changes):
    return {"typ": TYPE, "alg": "ES256", "kid": key_id(MACHINE.key.public_key())} | changes


GOOD = MACHINE.signed(header(), {"n": 5})


def read(text, key=None, header_type=TYPE, max_chars=4096):
    key = key or MACHINE.key.public_key()
    return signed_claims(text, key, header_type=header_type, claims=Said, max_chars=max_chars)


def test_what_the_key_has_signed_is_read():
    assert read(GOOD) == Said(n=5)
    assert read(GOOD, max_chars=len(GOOD)) == Said(n=5)


def test_a_key_is_named_by_the_digest_of_its_public_half():
    assert key_id(MACHINE.key.public_key()) == MACHINE.header()["kid"]


def test_what_another_key_has_signed_is_not_read_whatever_it_names():
    other = Machine()
    with pytest.raises(NotSigned, match="names another key"):
        read(GOOD, other.key.public_key())
    with pytest.raises(NotSigned, match="not signed by the key that it names"):
        read(other.signed(header(), {"n": 5}))


def test_what_was_signed_for_one_thing_is_none_for_another():
    with pytest.raises(NotSigned, match="its type must be kzproxy-other"):
        read(GOOD, header_type="kzproxy-other")


@pytest.mark.parametrize(
    "change",
    [
        *({"typ": typ} for typ in ("JWT", TYPE.upper(), "", None)),
        *({"alg": alg} for alg in ("none", "HS256", "ES384", "es256", None)),
        *({"kid": kid} for kid in ("", "other", None)),
        {"jwk": {}},
        {"crit": ["b64"], "b64": False},
    ],
)
def test_another_header_is_refused(change):
    with pytest.raises(NotSigned):
        read(MACHINE.signed(header(**change), {"n": 5}))


def test_a_key_on_another_curve_signs_nothing():
    key = ec.generate_private_key(ec.SECP384R1()).public_key()
    head = base64url(json.dumps(header(kid=key_id(key))).encode())
    _, claims, signature = GOOD.split(".")
    with pytest.raises(NotSigned, match="P-256"):
        read(f"{head}.{claims}.{signature}", key)


@pytest.mark.parametrize("signature", [b"", bytes(63), bytes(64), bytes(65), b"\xff" * 64])
def test_another_signature_is_refused(signature):
    signed = GOOD.rpartition(".")[0]
    with pytest.raises(NotSigned):
        read(f"{signed}.{base64url(signature)}")


def test_a_signature_with_zeroes_before_a_half_is_not_another_spelling():
    signed, _, signature = GOOD.rpartition(".")
    both = base64.urlsafe_b64decode(signature + "==")
    for other in (both[:32] + b"\0" + both[32:], b"\0" * 32 + both):
        with pytest.raises(NotSigned, match="none of ES256"):
            read(f"{signed}.{base64url(other)}")


def test_each_has_one_spelling():
    head, claims, signature = GOOD.split(".")
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = letters[letters.index(signature[-1]) ^ 1]
    plain = base64.b64encode(base64.urlsafe_b64decode(signature + "==")).decode()
    for other in (signature[:-1] + last, signature + "==", plain, f"{signature}\n"):
        with pytest.raises(NotSigned):
            read(f"{head}.{claims}.{other}")


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c.d", "....", "ä.ö.ü", "a" * 4097])
def test_what_is_no_jws_is_refused(text):
    with pytest.raises(NotSigned):
        read(text)


def test_nothing_may_follow_the_signature():
    for more in (".", ".x", f".{GOOD}"):
        with pytest.raises(NotSigned, match="three base64url parts"):
            read(GOOD + more)


def test_what_is_too_long_is_refused_before_it_is_read():
    with pytest.raises(NotSigned, match=f"over {len(GOOD) - 1} characters"):
        read(GOOD, max_chars=len(GOOD) - 1)


@pytest.mark.parametrize("claims", [{}, {"n": "5"}, [], None, json.loads("[" * 400 + "]" * 400)])
def test_claims_that_are_none_are_refused(claims):
    with pytest.raises(NotSigned, match="cannot be read"):
        read(MACHINE.signed(header(), claims))


@given(st.integers(0, len(GOOD) - 1), st.characters())
def test_what_was_changed_is_refused(place, letter):
    changed = GOOD[:place] + letter + GOOD[place + 1 :]
    if changed != GOOD:
        with pytest.raises(NotSigned):
            read(changed)


@given(st.text(max_size=200) | st.from_regex(r"[\w-]*\.[\w-]*\.[\w-]*", fullmatch=True))
def test_any_text_is_read_or_refused(text):
    with pytest.raises(NotSigned):
        read(text)

"""A token has one reading or none."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.authentication.jwks import ALGORITHMS
from kzproxy.authentication.signed_token import (
    MAX_KEY_ID_BYTES,
    MAX_TOKEN_BYTES,
    read_signed_token,
)
from kzproxy.errors.kinds import Unauthenticated
from tests.servers.tokens import SigningKey, base64url, hmac_token, json_bytes

KEY = SigningKey.make("key-1")
HEADER = {"alg": "ES256", "kid": "key-1"}


def token_with(**header):
    return KEY.token({"iss": "https://idp"}, **header)


def test_a_token_is_taken_apart():
    token = read_signed_token(token_with())
    assert token.algorithm == "ES256"
    assert token.key_id == "key-1"
    assert token.claims == {"iss": "https://idp"}
    assert len(token.signature) == 64


def test_a_token_without_key_id_is_read():
    assert read_signed_token(token_with(kid=None)).key_id is None


@pytest.mark.parametrize(
    "algorithm",
    ["none", "None", "nOnE", "", "HS256", "HS384", "HS512", "ES256K", "RSA-OAEP", "dir", "es256"],
)
def test_e6_1_only_asymmetric_algorithms_are_accepted(algorithm):
    assert algorithm not in ALGORITHMS
    with pytest.raises(Unauthenticated, match="not signed with an accepted algorithm"):
        read_signed_token(token_with(alg=algorithm))


@pytest.mark.parametrize("algorithm", [None, 5, ["ES256"], {"alg": "ES256"}, True])
def test_e6_1_an_algorithm_that_is_not_a_word_is_refused(algorithm):
    header = json_bytes({"alg": algorithm})
    with pytest.raises(Unauthenticated, match="accepted algorithm"):
        read_signed_token(KEY.token_of(header, b"{}"))


@pytest.mark.parametrize("signature", ["", "."])
def test_e6_1_an_unsigned_token_is_refused(signature):
    unsigned = f"{base64url(json_bytes({'alg': 'none'}))}.{base64url(b'{}')}{signature}"
    with pytest.raises(Unauthenticated, match="three base64url parts"):
        read_signed_token(unsigned)


def test_e6_1_a_token_under_a_shared_secret_is_refused():
    secret = KEY.private.public_key().public_numbers().x.to_bytes(32, "big")
    with pytest.raises(Unauthenticated, match="accepted algorithm"):
        read_signed_token(hmac_token(secret, {"alg": "HS256", "kid": "key-1"}, {}))


@pytest.mark.parametrize(
    "critical", [["b64"], ["exp"], [], "b64", None, ["http://example.com/unknown"], {}]
)
def test_e6_2_any_crit_is_refused(critical):
    header = json_bytes(HEADER | {"crit": critical, "b64": True, "exp": 1})
    with pytest.raises(Unauthenticated, match="`crit`"):
        read_signed_token(KEY.token_of(header, b"{}"))


@pytest.mark.parametrize("unencoded", [True, False])
def test_e6_2_an_unencoded_payload_is_refused(unencoded):
    with pytest.raises(Unauthenticated, match="`b64`"):
        read_signed_token(token_with(b64=unencoded))


@pytest.mark.parametrize("key_id", [5, ["key-1"], {"kid": 1}, True])
def test_e6_3_a_key_id_that_is_not_a_string_is_refused(key_id):
    with pytest.raises(Unauthenticated, match="`kid` is not a string"):
        read_signed_token(token_with(kid=key_id))


def test_e6_3_a_null_key_id_is_refused():
    with pytest.raises(Unauthenticated, match="`kid` is not a string"):
        read_signed_token(KEY.token_of(json_bytes(HEADER | {"kid": None}), b"{}"))


@pytest.mark.parametrize("key_id", ["k" * (MAX_KEY_ID_BYTES + 1), "ü" * 129, "\ud800" * 100])
def test_e6_3_a_long_key_id_is_refused(key_id):
    with pytest.raises(Unauthenticated, match="`kid` is longer"):
        read_signed_token(token_with(kid=key_id))


@pytest.mark.parametrize("token_type", ["JWT", "jwt", "at+jwt", "application/at+jwt", None])
def test_e6_7_id_and_access_tokens_are_read(token_type):
    assert read_signed_token(token_with(typ=token_type)).claims


@pytest.mark.parametrize(
    "token_type",
    ["logout+jwt", "secevent+jwt", "dpop+jwt", "oauth-authz-req+jwt", "JWE", "", 5, ["JWT"]],
)
def test_e6_7_a_token_of_another_type_is_refused(token_type):
    with pytest.raises(Unauthenticated, match="`typ`"):
        read_signed_token(token_with(typ=token_type))


@pytest.mark.parametrize(
    "claims",
    [
        b"",
        b"[]",
        b"null",
        b'"text"',
        b"{",
        b'{"exp":NaN}',
        b'{"exp":Infinity}',
        b'{"sub":"a","sub":"b"}',
        b'{"a":{"b":1,"b":2}}',
        b'{"sub":"\xff"}',
        b"\xef\xbb\xbf{}",
        b'{"exp":' + b"9" * 5000 + b"}",
        b"[" * 40_000,
        b'{"a":' * 9_000,
    ],
)
def test_claims_that_cannot_be_read_in_one_way_are_refused(claims):
    with pytest.raises(Unauthenticated, match=r"^the token"):
        read_signed_token(KEY.token_of(json_bytes(HEADER), claims))


def test_a_part_of_an_impossible_length_is_refused():
    with pytest.raises(Unauthenticated, match="header is not base64url"):
        read_signed_token("AAAAA.AAAA.AAAA")


def test_a_header_member_given_twice_is_refused():
    with pytest.raises(Unauthenticated, match="header cannot be read"):
        read_signed_token(KEY.token_of(b'{"alg":"ES256","alg":"HS256"}', b"{}"))


@pytest.mark.parametrize("change", ["=", "==", ".x", ".x.y", " ", "\n", "!", "ü", "\x00"])
def test_a_token_with_something_more_is_refused(change):
    with pytest.raises(Unauthenticated):
        read_signed_token(token_with() + change)


def test_a_token_has_one_spelling():
    """The last character of a part has bits to spare; another value of them is another token."""
    header, claims, signature = token_with().split(".")
    assert len(signature) % 4 == 2
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    respelt = signature[:-1] + last[last.index(signature[-1]) + 1]
    with pytest.raises(Unauthenticated, match="signature is not base64url"):
        read_signed_token(f"{header}.{claims}.{respelt}")


def test_e4_7_a_token_of_64_kib_is_read_and_a_longer_one_is_not():
    overhead = len(KEY.token({"pad": ""}))
    padding = "x" * ((MAX_TOKEN_BYTES - overhead) * 3 // 4 - 8)
    token = KEY.token({"pad": padding})
    assert MAX_TOKEN_BYTES - 20 < len(token) <= MAX_TOKEN_BYTES
    assert read_signed_token(token).claims["pad"] == padding
    with pytest.raises(Unauthenticated, match="longer than 65536 bytes"):
        read_signed_token(KEY.token({"pad": padding + "x" * 20}))


def test_nothing_of_the_token_is_printed():
    token = read_signed_token(KEY.token({"sub": "secret-subject"}))
    assert "secret-subject" not in repr(token)
    assert "eyJ" not in repr(token)


parts = st.one_of(
    st.binary(max_size=60).map(base64url),
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        max_leaves=8,
    ).map(lambda value: base64url(json.dumps(value).encode())),
    st.fixed_dictionaries(
        {"alg": st.sampled_from([*sorted(ALGORITHMS), "none", 1])},
        optional={"kid": st.text() | st.none(), "typ": st.text(), "crit": st.just(["b64"])},
    ).map(lambda value: base64url(json.dumps(value).encode())),
)


@given(st.one_of(st.text(), st.lists(parts, max_size=5).map(".".join)))
def test_any_text_is_a_signed_token_or_unauthenticated(text):
    """The reader has two outcomes."""
    try:
        token = read_signed_token(text)
    except Unauthenticated:
        return
    assert token.algorithm in ALGORITHMS
    assert ".".join(text.split(".")[:2]).encode() == token.signing_input

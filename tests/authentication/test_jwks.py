"""Which published keys are used, and for what."""

import base64
import logging

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.authentication.jwks import ALGORITHMS, KeyRefused, read_key, read_key_set
from tests.servers.tokens import SigningKey, base64url

MESSAGE = b"header.claims"
KEYS = {algorithm: SigningKey.make("k", algorithm) for algorithm in sorted(ALGORITHMS)}


def signature_of(key):
    header, claims, signature = key.token({}).split(".")
    return f"{header}.{claims}".encode(), base64.urlsafe_b64decode(signature + "==")


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_every_accepted_algorithm_verifies_its_own_signatures(algorithm):
    message, signature = signature_of(KEYS[algorithm])
    key = read_key(KEYS[algorithm].jwk())
    assert key.verifies(algorithm, message, signature)
    assert not key.verifies(algorithm, message + b"x", signature)
    assert not key.verifies(algorithm, message, signature[:-1] + bytes([signature[-1] ^ 1]))
    assert not key.verifies(algorithm, message, b"")


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_e6_1_a_key_verifies_only_algorithms_of_its_kind(algorithm):
    """The algorithm comes from the key; what the token says only has to agree."""
    message, signature = signature_of(KEYS[algorithm])
    key = read_key(KEYS[algorithm].jwk())
    family = {"R", "P"} if algorithm[0] in "RP" else {algorithm[0]}
    for other in [*sorted(ALGORITHMS), "none", "HS256", ""]:
        if other == algorithm:
            continue
        assert not key.verifies(other, message, signature)
        if other[:1] not in family:
            assert other not in key.algorithms


def test_e6_1_a_key_that_names_its_algorithm_verifies_no_other():
    key = read_key(KEYS["RS256"].jwk(alg="RS256"))
    assert key.algorithms == {"RS256"}
    message, signature = signature_of(KEYS["RS256"])
    assert not key.verifies("PS256", message, signature)


@pytest.mark.parametrize(
    ("jwk", "why"),
    [
        ("text", "not a JSON object"),
        (None, "not a JSON object"),
        ({}, "accepted kinds"),
        ({"kty": "oct", "k": "c2VjcmV0"}, "private or secret"),
        ({"kty": "oct"}, "accepted kinds"),
        ({"kty": ["EC"], "crv": {}}, "accepted kinds"),
        (KEYS["ES256"].jwk(use="enc"), "`use`"),
        (KEYS["ES256"].jwk(use=["sig"]), "`use`"),
        (KEYS["ES256"].jwk(key_ops=["sign"]), "`key_ops`"),
        (KEYS["ES256"].jwk(key_ops="verify"), "`key_ops`"),
        (KEYS["ES256"].jwk(d="AAAA"), "private or secret"),
        (KEYS["ES256"].jwk(alg="ES384"), "accepted kinds"),
        (KEYS["ES256"].jwk(alg="HS256"), "accepted kinds"),
        (KEYS["ES256"].jwk(alg=["ES256"]), "accepted kinds"),
        (KEYS["ES256"].jwk(crv="secp256k1"), "accepted kinds"),
        (KEYS["ES256"].jwk(crv="P-384"), "cannot be read"),
        (KEYS["ES256"].jwk(x=None), "cannot be read"),
        (KEYS["ES256"].jwk(x=5), "cannot be read"),
        (KEYS["ES256"].jwk(x="AAAA"), "cannot be read"),
        (KEYS["ES256"].jwk(y=base64url(b"\x01" * 32)), "cannot be read"),
        (KEYS["ES256"].jwk(kid=7), "`kid` is not a string"),
        (KEYS["EdDSA"].jwk(crv="Ed448"), "accepted kinds"),
        (KEYS["EdDSA"].jwk(x="AAAA"), "cannot be read"),
        (KEYS["RS256"].jwk(n=None), "cannot be read"),
        (KEYS["RS256"].jwk(n={"a": 1}), "cannot be read"),
        (KEYS["RS256"].jwk(e="AA"), "cannot be read"),
        (KEYS["RS256"].jwk(e=base64url((2**40 + 1).to_bytes(6, "big"))), "exponent"),
        (KEYS["RS256"].jwk(n=base64url(b"\xff" * 2048)), "size"),
    ],
)
def test_a_key_that_kzproxy_does_not_use_is_refused_with_the_reason(jwk, why):
    with pytest.raises(KeyRefused, match=why):
        read_key(jwk)


def test_a_short_rsa_key_is_refused():
    short = SigningKey("k", "RS256", rsa.generate_private_key(65537, 1024))
    with pytest.raises(KeyRefused, match="size is not from 2048"):
        read_key(short.jwk())


def test_e6_4_one_bad_key_among_good_ones_is_left_out_and_logged(caplog):
    good, other = KEYS["ES256"].jwk(kid="good"), KEYS["RS256"].jwk(kid="other")
    bad = KEYS["ES384"].jwk(kid="bad", x="AAAA")
    with caplog.at_level(logging.WARNING):
        keys = read_key_set([good, bad, None, other], "https://idp")
    assert [key.key_id for key in keys.keys] == ["good", "other"]
    assert [record.getMessage() for record in caplog.records] == [
        "issuer https://idp: key 1 of its key set is not used: it cannot be read (InvalidKeyError)",
        "issuer https://idp: key 2 of its key set is not used: it is not a JSON object",
    ]


def test_a_token_that_names_a_key_is_tried_with_that_one_only():
    keys = read_key_set([KEYS["ES256"].jwk(kid="a"), SigningKey.make("b").jwk()], "idp")
    assert [key.key_id for key in keys.candidates("b", "ES256")] == ["b"]
    assert keys.candidates("c", "ES256") == ()
    assert keys.candidates("a", "RS256") == ()


def test_a_key_without_name_is_not_taken_for_a_token_that_names_one():
    keys = read_key_set([KEYS["ES256"].jwk(kid=None)], "idp")
    assert keys.candidates("a", "ES256") == ()
    assert len(keys.candidates(None, "ES256")) == 1


def test_a_token_that_names_no_key_is_tried_with_a_bounded_number():
    keys = read_key_set([SigningKey.make(f"k{n}").jwk() for n in range(20)], "idp")
    assert len(keys.candidates(None, "ES256")) == 8


@pytest.mark.parametrize(
    "key_id", ["../../dev/null", "' OR 1=1 --", "/etc/passwd", "", "__proto__", "\x00"]
)
def test_e6_3_a_key_id_is_an_opaque_name(key_id):
    keys = read_key_set([KEYS["ES256"].jwk(kid="a")], "idp")
    assert keys.candidates(key_id, "ES256") == ()
    assert (
        len(read_key_set([KEYS["ES256"].jwk(kid=key_id)], "idp").candidates(key_id, "ES256")) == 1
    )


def test_two_keys_have_one_fingerprint_only_if_they_verify_the_same():
    jwk = KEYS["RS256"].jwk()
    again = read_key(dict(reversed(jwk.items())))
    assert read_key(jwk).fingerprint == again.fingerprint
    for other in (KEYS["RS256"].jwk(alg="RS256"), KEYS["RS256"].jwk(kid="x"), KEYS["PS256"].jwk()):
        assert read_key(other).fingerprint != again.fingerprint


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)


@given(
    st.sampled_from(sorted(KEYS)),
    st.dictionaries(
        st.sampled_from(["kty", "crv", "alg", "use", "key_ops", "kid", "x", "y", "n", "e", "d"]),
        json_values,
        max_size=3,
    ),
)
def test_any_published_member_is_a_key_or_refused(algorithm, changes):
    try:
        key = read_key(KEYS[algorithm].jwk() | changes)
    except KeyRefused:
        return
    assert key.algorithms <= ALGORITHMS

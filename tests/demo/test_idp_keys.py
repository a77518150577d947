"""Keys are published before they sign, and until their tokens have ended."""

import jwt
import pytest

from kzproxy.demo.idp_keys import MAX_RETIRED_KEYS, SigningKeys
from kzproxy.demo.idp_settings import Lifetimes, SigningAlgorithm

LIFETIMES = Lifetimes()
ISSUER = "https://127.0.0.1:1"


def kid_of(token):
    return jwt.get_unverified_header(token)["kid"]


def published(keys):
    return {key["kid"] for key in keys.published()["keys"]}


@pytest.fixture
def keys(clock):
    return SigningKeys(clock, SigningAlgorithm.ES256, LIFETIMES)


@pytest.mark.parametrize("algorithm", SigningAlgorithm)
def test_a_token_verifies_with_the_published_key(clock, algorithm):
    keys = SigningKeys(clock, algorithm, LIFETIMES)
    token = keys.sign({"sub": "x"})
    jwk = next(key for key in keys.published()["keys"] if key["kid"] == kid_of(token))
    assert jwk["alg"] == algorithm
    verified = jwt.decode(token, jwt.PyJWK(jwk).key, algorithms=[algorithm])
    assert verified == {"sub": "x"}


def test_the_next_key_is_published_before_it_signs(keys):
    before = published(keys)
    keys.rotate()
    assert kid_of(keys.sign({})) in before


def test_a_key_that_signs_no_more_stays_for_the_overlap(keys, clock):
    old = kid_of(keys.sign({}))
    keys.rotate()
    assert kid_of(keys.sign({})) != old
    clock.move(seconds=LIFETIMES.key_overlap.total_seconds() - 1)
    assert old in published(keys)
    clock.move(seconds=1)
    assert old not in published(keys)


def test_a_key_signs_for_its_time_only(keys, clock):
    old = kid_of(keys.sign({}))
    clock.move(seconds=LIFETIMES.signing_key.total_seconds() - 1)
    assert kid_of(keys.sign({})) == old
    clock.move(seconds=1)
    assert kid_of(keys.sign({})) != old


def test_rotating_in_a_loop_does_not_grow_the_set(keys):
    for _ in range(3 * MAX_RETIRED_KEYS):
        keys.rotate()
    assert len(published(keys)) == MAX_RETIRED_KEYS + 2


def test_a_hint_is_believed_after_its_end_but_not_from_others(keys, clock):
    ended = keys.sign({"iss": ISSUER, "sid": "s", "exp": 1})
    assert keys.verified_hint(ended, issuer=ISSUER) == {"iss": ISSUER, "sid": "s", "exp": 1}
    foreign = SigningKeys(clock, SigningAlgorithm.ES256, LIFETIMES).sign({"iss": ISSUER})
    for wrong in (foreign, keys.sign({"iss": "https://other"}), "a.b.c", "", ended + "x"):
        assert keys.verified_hint(wrong, issuer=ISSUER) is None

"""A session token holds in one form, and in no other (protocol attack list E6)."""

import base64
import hmac
import json
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kzproxy.authentication.session_token import (
    MAX_TOKEN_CHARACTERS,
    TOKEN_TYPE,
    is_session_token,
    is_spelt_as_ours,
)
from kzproxy.errors.kinds import ServiceUnavailable, Unauthenticated
from tests.authentication.manual_clock import ManualClock
from tests.authentication.session_scene import CERTIFICATE, SESSION, KeyScene, encoded
from tests.servers.tokens import SigningKey

LIFE = timedelta(minutes=5)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def scene(tmp_path: Path, clock: ManualClock) -> AsyncIterator[KeyScene]:
    scene = KeyScene(tmp_path / "kept.db", clock)
    yield await scene.start()
    await scene.store.close()


def refused(scene: KeyScene, token: str, why: str = "") -> None:
    with pytest.raises(Unauthenticated, match=why or None):
        scene.tokens.verify(token)


async def test_what_was_issued_holds(scene: KeyScene, clock: ManualClock):
    issued = scene.tokens.issue(SESSION, CERTIFICATE, life=LIFE)
    token = scene.tokens.verify(issued.text)
    assert (token.session_id, token.confirmation) == (SESSION, CERTIFICATE)
    assert token.expires_at == issued.expires_at == clock.now() + LIFE
    assert is_spelt_as_ours(issued.text)
    assert is_session_token(issued.text)


async def test_two_tokens_are_never_the_same(scene: KeyScene):
    texts = {scene.tokens.issue(SESSION, CERTIFICATE, life=LIFE).text for _ in range(20)}
    assert len(texts) == 20


@pytest.mark.parametrize("seconds", [0, -1, 301, 86400])
async def test_no_token_is_made_that_lives_longer(scene: KeyScene, seconds: int):
    with pytest.raises(ValueError, match="five minutes"):
        scene.tokens.issue(SESSION, CERTIFICATE, life=timedelta(seconds=seconds))


async def test_it_ends_to_the_second(scene: KeyScene, clock: ManualClock):
    token = scene.tokens.issue(SESSION, CERTIFICATE, life=LIFE).text
    clock.advance(LIFE - timedelta(seconds=1))
    scene.tokens.verify(token)
    clock.advance(timedelta(seconds=1))
    refused(scene, token, "expired at 2026-06-01T12:05:00Z; run the command again")


@pytest.mark.parametrize("ahead", [0, 59, 60])
async def test_clocks_may_differ_by_a_minute(scene: KeyScene, clock: ManualClock, ahead: int):
    now = int(clock.now().timestamp())
    scene.tokens.verify(scene.signed(scene.claims(iat=now + ahead)))
    refused(scene, scene.signed(scene.claims(iat=now + 61)), "compare the clocks")


async def test_what_the_scene_signs_holds_where_nothing_is_changed(scene: KeyScene):
    assert scene.tokens.verify(scene.signed(scene.claims())).session_id == SESSION


@pytest.mark.parametrize("claim", ["iss", "aud", "sub", "iat", "exp", "jti", "cnf"])
async def test_every_claim_must_be_there(scene: KeyScene, claim: str):
    refused(scene, scene.signed(scene.claims(**{claim: None})), f"no `{claim}`")


WRONG = [
    ("iss", "https://kzproxy.example.com:8444/"),
    ("iss", "https://KZPROXY.example.com:8444"),
    ("iss", ["https://kzproxy.example.com:8444"]),
    ("aud", ["kzproxy"]),
    ("aud", "kzproxy-cli"),
    ("aud", "kubernetes"),
    ("sub", "0" * 31),
    ("sub", "0" * 33),
    ("sub", SESSION.upper()),
    ("sub", SESSION + "\n"),
    ("sub", 5),
    ("iat", "1780315200"),
    ("iat", True),
    ("exp", float("1e400")),
    ("exp", -1),
    ("exp", [1780315200]),
    ("jti", ""),
    ("jti", 1),
    ("jti", "x" * 65),
    ("cnf", {}),
    ("cnf", "x5t#S256"),
    ("cnf", {"jkt": "A" * 43}),
    ("cnf", {"x5t#S256": "A" * 42}),
    ("cnf", {"x5t#S256": "A" * 43, "jkt": "A" * 43}),
    ("cnf", {"x5t#S256": None}),
    ("cnf", [["x5t#S256", "A" * 43]]),
]


@pytest.mark.parametrize(("claim", "value"), WRONG)
async def test_a_wrong_claim_is_refused_under_a_good_signature(
    scene: KeyScene, claim: str, value: object
):
    refused(scene, scene.signed(scene.claims(**{claim: value})))


async def test_a_token_that_would_live_too_long_is_refused(scene: KeyScene, clock: ManualClock):
    now = int(clock.now().timestamp())
    refused(scene, scene.signed(scene.claims(exp=now + 301)), "longer than any may")


@pytest.mark.parametrize("algorithm", ["none", "None", "HS256", "RS256", "ES384", "es256", "", 5])
async def test_e6_1_only_es256_holds(scene: KeyScene, algorithm: object):
    refused(scene, scene.signed(scene.claims(), alg=algorithm))


async def test_e6_1_an_unsigned_token_is_refused(scene: KeyScene):
    head = {"alg": "none", "typ": "kzproxy-session+jwt", "kid": next(iter(scene.ids()))}
    for end in ("", ".", ".AA"):
        refused(scene, f"{encoded(head)}.{encoded(scene.claims())}{end}")


async def test_e6_1_the_public_key_is_no_shared_secret(scene: KeyScene):
    jwk = scene.keys.published()["keys"][0]
    head = {"alg": "HS256", "typ": "kzproxy-session+jwt", "kid": jwk["kid"]}
    signed = f"{encoded(head)}.{encoded(scene.claims())}"
    for secret in (json.dumps(dict(jwk)).encode(), base64.urlsafe_b64decode(jwk["x"] + "=")):
        mac = base64.urlsafe_b64encode(hmac.digest(secret, signed.encode(), "sha256")).decode()
        refused(scene, f"{signed}.{mac.rstrip('=')}", "algorithm")


@pytest.mark.parametrize("critical", [["b64"], ["exp"], [], "b64", {}])
async def test_e6_2_any_crit_is_refused(scene: KeyScene, critical: object):
    refused(scene, scene.signed(scene.claims(), crit=critical), "`crit`")


@pytest.mark.parametrize(
    "extra",
    [
        {"jku": "https://evil.example/jwks"},
        {"x5u": "https://evil.example/c"},
        {"jwk": {"kty": "EC"}},
        {"x5c": ["MII"]},
        {"cty": "JWT"},
        {"typ": "JWT"},
        {"typ": "at+jwt"},
        {"typ": None},
        {"typ": "KZPROXY-SESSION+JWT"},
        {"typ": "application/kzproxy-session+jwt"},
        {"typ": "kzproxy-posture+jwt"},
        {"kid": None},
        {"kid": "../../dev/null"},
        {"kid": "' OR 1=1 --"},
        {"kid": "\ud800"},
        {"kid": ["x"]},
    ],
)
async def test_e6_3_a_header_has_one_spelling(scene: KeyScene, extra: dict[str, object]):
    refused(scene, scene.signed(scene.claims(), **extra))


async def test_e6_3_another_order_or_blank_in_the_header_is_refused(scene: KeyScene):
    token = scene.signed(scene.claims())
    key = scene.keys.signer(scene.clock.now())
    assert key is not None
    for text in (
        f'{{"typ":"kzproxy-session+jwt","alg":"ES256","kid":"{key.id}"}}',
        f'{{"alg": "ES256","typ":"kzproxy-session+jwt","kid":"{key.id}"}}',
        f'{{"alg":"ES256","typ":"kzproxy-session+jwt","kid":"{key.id}","kid":"{key.id}"}}',
    ):
        signed = f"{encoded(text.encode())}.{token.split('.')[1]}"
        signature = base64.urlsafe_b64encode(key.sign(signed.encode())).decode().rstrip("=")
        refused(scene, f"{signed}.{signature}")


async def test_e6_5_a_token_of_a_key_that_is_gone_is_refused(scene: KeyScene):
    token = scene.tokens.issue(SESSION, CERTIFICATE, life=LIFE).text
    scene.keys.changed(next(iter(scene.ids())), None)
    refused(scene, token, "not kzproxy's, or no longer")


async def test_e6_6_another_key_under_the_same_name_is_refused(scene: KeyScene):
    kid = next(iter(scene.ids()))
    stranger = SigningKey.make(kid)
    header = {"alg": "ES256", "typ": "kzproxy-session+jwt", "kid": kid}
    token = stranger.token_of(
        json.dumps(header, separators=(",", ":")).encode(),
        json.dumps(scene.claims()).encode(),
    )
    refused(scene, token, "signature does not hold")


async def test_e6_7_an_id_token_is_none(scene: KeyScene):
    token = SigningKey.make("k").token({"iss": "https://idp", "sub": "alice"})
    assert not is_session_token(token)
    refused(scene, token, "`typ`")


@pytest.mark.parametrize(
    "kind",
    [TOKEN_TYPE, TOKEN_TYPE.upper(), f"application/{TOKEN_TYPE}", f"Application/{TOKEN_TYPE}"],
)
def test_its_kind_is_told_however_it_is_spelt(kind: str):
    """Else it would be read as the token of an issuer, by rules that are none of its own."""
    header = encoded(json.dumps({"kid": "k", "typ": kind, "alg": "ES256"}).encode())
    assert is_session_token(f"{header}.e30.e30")


@pytest.mark.parametrize("header", ['{"typ": 1}', "{}", "[]", "1", "no JSON"])
def test_what_says_nothing_of_its_kind_is_none(header: str):
    assert not is_session_token(f"{encoded(header.encode())}.e30.e30")


async def test_without_a_key_none_is_issued(scene: KeyScene, clock: ManualClock):
    clock.jump(-timedelta(days=1))
    with pytest.raises(ServiceUnavailable, match="has no key to sign with"):
        scene.tokens.issue(SESSION, CERTIFICATE, life=LIFE)


async def test_claims_given_twice_are_refused(scene: KeyScene):
    text = json.dumps(scene.claims())
    twice = text[:-1] + f', "sub": "{"f" * 32}"}}'
    refused(scene, scene.signed(twice.encode()), "JSON")


async def test_a_long_token_is_refused_before_it_is_read(scene: KeyScene):
    refused(scene, "a" * (MAX_TOKEN_CHARACTERS + 1), "longer than")


async def test_zeroes_before_half_of_the_signature_make_no_second_token(scene: KeyScene):
    signed, _, signature = scene.signed(scene.claims()).rpartition(".")
    both = base64.urlsafe_b64decode(signature + "==")
    for other in (both[:32] + b"\0" + both[32:], b"\0" * 32 + both):
        spelt = base64.urlsafe_b64encode(other).decode().rstrip("=")
        refused(scene, f"{signed}.{spelt}", "signature does not hold")


async def test_the_spare_bits_of_the_signature_make_no_second_token(scene: KeyScene):
    token = scene.tokens.issue(SESSION, CERTIFICATE, life=LIFE).text
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = token[:-1] + alphabet[alphabet.index(token[-1]) ^ 1]
    refused(scene, other, "base64url")


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(data=st.data())
async def test_any_change_of_any_character_is_refused(scene: KeyScene, data: st.DataObject):
    token = scene.tokens.issue(SESSION, CERTIFICATE, life=LIFE).text
    place = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.sampled_from("Aa0_-.=") | st.characters())
    changed = token[:place] + letter + token[place + 1 :]
    if changed != token:
        refused(scene, changed)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text() | st.from_regex(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+"))
async def test_any_text_is_refused_and_its_kind_is_told(scene: KeyScene, text: str):
    is_session_token(text)
    refused(scene, text)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    changes=st.dictionaries(
        st.sampled_from(["iss", "aud", "sub", "iat", "exp", "jti", "cnf"]), JSON, min_size=1
    )
)
async def test_claims_of_any_kind_are_judged_or_refused(
    scene: KeyScene, changes: dict[str, object]
):
    """Under a good signature there are two ends, and `Unauthenticated` is the only error."""
    good = scene.claims()
    token = scene.signed(good | changes)
    try:
        held = scene.tokens.verify(token)
    except Unauthenticated:
        return
    assert held.expires_at > scene.clock.now()
    assert held.session_id == SESSION
    # Hypothesis also draws words that it finds in our code: one may be the good value again.
    other = {name for name, value in changes.items() if value != good[name]}
    assert other <= {"iat", "exp", "jti"}

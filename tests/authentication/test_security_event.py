"""Security event tokens: keys, and that whatever is sent is an event or refused with a code.

What is refused for which reason is in tests/web/test_ssf.py, where the answer is seen too.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.authentication.jwks import read_key_set
from kzproxy.authentication.keys import IssuerKeys
from kzproxy.authentication.security_event import (
    SecurityEvent,
    SecurityEventVerifier,
    SetError,
    SetRefused,
    TransmitterSettings,
)
from tests.authentication.manual_clock import ManualClock
from tests.authentication.scene import running
from tests.servers.issuer import TestIssuer
from tests.servers.tokens import SigningKey

KEY = SigningKey.make("key-1")
ISSUER = "https://idp.example.com/tenant"
AUDIENCE = "https://kzproxy.example.com"


def settings(issuer: str = ISSUER, **changes: Any) -> TransmitterSettings:
    members: dict[str, Any] = {
        "issuer": issuer,
        "audiences": (AUDIENCE,),
        "algorithms": frozenset({"ES256"}),
    }
    return TransmitterSettings(**(members | changes))


def claims(clock: ManualClock, **changes: object) -> dict[str, object]:
    members: dict[str, object] = {
        "iss": ISSUER,
        "aud": [AUDIENCE, "https://other.example.com"],
        "iat": int(clock.now().timestamp()),
        "jti": "24c6",
        "txn": "8675309",
        "sub_id": {"format": "opaque", "id": "x"},
        "events": {"https://example.com/event": {"a": 1}},
        "unknown": True,
    }
    return {name: value for name, value in (members | changes).items() if value is not None}


def with_keys(clock: ManualClock, **changes: Any) -> SecurityEventVerifier:
    """Make a verifier that has its transmitter's keys already."""
    keys = IssuerKeys(settings(**changes), clock)
    keys.published = read_key_set([KEY.jwk()], ISSUER)
    keys.usable_until = clock.monotonic() + 3600
    keys.tried = True
    return SecurityEventVerifier(settings(**changes), keys, clock)


async def test_an_event_is_read(clock: ManualClock) -> None:
    event = await with_keys(clock).verify(KEY.token(claims(clock), typ="secevent+jwt"))
    assert (event.issuer, event.id, event.transaction) == (ISSUER, "24c6", "8675309")
    assert (event.type, event.members) == ("https://example.com/event", {"a": 1})
    assert event.subject == {"format": "opaque", "id": "x"}


async def refused(clock: ManualClock, **changes: object) -> SetRefused:
    with pytest.raises(SetRefused) as refusal:
        await with_keys(clock).verify(KEY.token(claims(clock, **changes), typ="secevent+jwt"))
    return refusal.value


async def test_clocks_may_differ_by_five_minutes(clock: ManualClock) -> None:
    now = int(clock.now().timestamp())
    await with_keys(clock).verify(KEY.token(claims(clock, iat=now + 300), typ="secevent+jwt"))
    refusal = await refused(clock, iat=now + 301)
    assert (refusal.error, refusal.description) == (
        SetError.INVALID_REQUEST,
        "`iat` is in the future",
    )


async def test_the_subject_of_the_whole_goes_before_that_of_the_event(clock: ManualClock) -> None:
    events = {"https://example.com/event": {"subject": {"format": "opaque", "id": "other"}}}
    token = KEY.token(claims(clock, events=events), typ="secevent+jwt")
    event = await with_keys(clock, subject_in_event=True).verify(token)
    assert event.subject == {"format": "opaque", "id": "x"}


async def test_an_event_type_is_a_name(clock: ManualClock) -> None:
    """It is written to the log, and compared with names."""
    refusal = await refused(clock, events={"https://example.com/\u202eevent": {"a": 1}})
    assert refusal.error == SetError.INVALID_REQUEST


@asynccontextmanager
async def verifying(
    issuer: TestIssuer, clock: ManualClock, **changes: Any
) -> AsyncIterator[SecurityEventVerifier]:
    told = settings(
        issuer.url, certificate_authority_pem=issuer.certificate_authority_pem, **changes
    )
    keys = IssuerKeys(told, clock)
    async with running(keys):
        await issuer.fetched(1)
        await keys.sought()
        yield SecurityEventVerifier(told, keys, clock)


async def test_keys_are_where_the_operator_says(issuer: TestIssuer, clock: ManualClock) -> None:
    place = issuer.url.removesuffix("/tenant") + "/tenant/keys"
    async with verifying(issuer, clock, key_set_url=place) as verifier:
        token = issuer.token(claims(clock, iss=issuer.url), typ="secevent+jwt")
        assert (await verifier.verify(token)).id == "24c6"
    assert issuer.discovery_fetches == 0


def test_its_metadata_is_between_host_and_path() -> None:
    assert (
        settings().discovery_document_url
        == "https://idp.example.com/.well-known/ssf-configuration/tenant"
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=8,
)
NAMES = st.sampled_from(["iss", "aud", "iat", "exp", "sub", "jti", "txn", "sub_id", "events"])


async def verified(clock: ManualClock, text: str) -> SecurityEvent | SetRefused:
    try:
        return await with_keys(clock).verify(text)
    except SetRefused as refused:
        return refused


@given(st.dictionaries(NAMES, JSON, max_size=4))
def test_whatever_is_signed_is_an_event_or_refused(changes: dict[str, object]) -> None:
    clock = ManualClock()
    text = KEY.token(claims(clock) | changes, typ="secevent+jwt")
    answer = asyncio.run(verified(clock, text))
    if isinstance(answer, SecurityEvent):
        assert not {"exp", "sub"} & changes.keys()
        assert answer.id
    else:
        assert isinstance(answer.error, SetError)
        assert answer.description


@given(st.text() | st.from_regex(r"[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*\.[A-Za-z0-9_-]*"))
def test_whatever_is_not_signed_is_refused(text: str) -> None:
    answer = asyncio.run(verified(ManualClock(), text))
    assert isinstance(answer, SetRefused)
    assert answer.error in (SetError.INVALID_REQUEST, SetError.INVALID_KEY)


@pytest.mark.parametrize("algorithm", ["ES384", "RS256", "EdDSA"])
async def test_only_the_algorithms_of_the_stream_are_taken(
    clock: ManualClock, algorithm: str
) -> None:
    key = SigningKey.make("key-1", algorithm)
    answer = await verified(clock, key.token(claims(clock), typ="secevent+jwt"))
    assert isinstance(answer, SetRefused)
    assert answer.error is SetError.INVALID_KEY

"""Fetching an issuer's keys from a real HTTPS server that behaves and misbehaves."""

import asyncio
from datetime import timedelta

import pytest

from kzproxy.authentication.keys import IssuerKeys, KeyNotYetKnown
from kzproxy.authentication.settings import KeyLimits
from kzproxy.authentication.signed_token import read_signed_token
from kzproxy.errors.kinds import ServiceUnavailable
from tests.authentication.scene import running, settings_of
from tests.servers.authority import Authority
from tests.servers.issuer import Answer, serving_issuer
from tests.servers.tokens import SigningKey

QUICK = KeyLimits(fetch_timeout=timedelta(seconds=0.3))
# A resolver asks again after five seconds where a packet was lost, as long as a fetch may take.
PATIENT = KeyLimits(fetch_timeout=timedelta(minutes=2))


def key_ids(keys):
    return [key.key_id for key in keys.current().keys]


async def fetched(issuer, clock, limits=KeyLimits(), **changes):  # noqa: B008 - a frozen value
    keys = IssuerKeys(settings_of(issuer, **changes), clock, limits)
    await keys.fetch()
    return keys


async def test_keys_are_found_by_discovery(issuer, clock):
    keys = await fetched(issuer, clock)
    assert key_ids(keys) == ["key-1"]
    assert keys.failure == ""
    assert keys.tried


@pytest.mark.usefixtures("strict_python")
async def test_an_authority_without_key_identifiers_vouches_under_every_python(tmp_path, clock):
    async with serving_issuer(tmp_path, Authority.bare()) as issuer:
        keys = await fetched(issuer, clock)
    assert keys.failure == ""
    assert key_ids(keys) == ["key-1"]


async def test_a_key_that_is_not_used_is_told_of_once_and_not_at_each_fetch(issuer, clock, caplog):
    """Keycloak publishes one for encryption in each realm."""
    encryption = issuer.keys[0].jwk() | {"kid": "enc", "use": "enc"}
    issuer.published = [issuer.keys[0].jwk(), encryption]
    keys = await fetched(issuer, clock)
    await keys.fetch()
    issuer.published = [encryption, issuer.keys[0].jwk()]
    await keys.fetch()
    assert key_ids(keys) == ["key-1"]
    said = [record.getMessage() for record in caplog.records if "not used" in record.getMessage()]
    assert [line.partition("key ")[2][:1] for line in said] == ["1", "0"]


async def test_nothing_is_known_before_the_first_fetch(issuer, clock):
    keys = IssuerKeys(settings_of(issuer), clock)
    assert key_ids(keys) == []
    assert not keys.tried
    assert issuer.discovery_fetches == 0


async def test_discovery_may_be_at_a_place_of_its_own(issuer, clock):
    keys = await fetched(
        issuer,
        clock,
        discovery_url=f"{issuer.url}/.well-known/openid-configuration",
        url="https://x",
    )
    assert "its `issuer` is not https://x" in keys.failure
    issuer.discovery = {"issuer": "https://x"}
    await keys.fetch()
    assert key_ids(keys) == ["key-1"]


ORDER = ("discovery", "keys")


def misbehave(issuer, document, answer):
    setattr(issuer, f"{document}_answer", answer)


@pytest.mark.parametrize("document", ORDER)
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_e6_4_a_redirect_is_not_followed(issuer, clock, document, status):
    target = issuer.url + "/elsewhere"
    misbehave(issuer, document, Answer(status=status, headers={"location": target}, body=b""))
    keys = await fetched(issuer, clock)
    assert f"the answer is {status}, not 200" in keys.failure
    assert key_ids(keys) == []


@pytest.mark.parametrize("document", ORDER)
@pytest.mark.parametrize("status", [201, 204, 400, 404, 500, 503])
async def test_e6_4_only_a_200_is_an_answer(issuer, clock, document, status):
    misbehave(issuer, document, Answer(status=status, body=b""))
    keys = await fetched(issuer, clock)
    assert f"the answer is {status}, not 200" in keys.failure


@pytest.mark.parametrize("document", ORDER)
async def test_e6_4_a_body_of_50_mb_is_not_read_to_its_end(issuer, clock, document):
    misbehave(issuer, document, Answer(endless=True))
    keys = await fetched(issuer, clock)
    assert "longer than 1048576 bytes" in keys.failure


@pytest.mark.parametrize("document", ORDER)
async def test_e6_4_an_issuer_that_hangs_is_given_up(issuer, clock, document):
    misbehave(issuer, document, Answer(hang=True))
    keys = await fetched(issuer, clock, QUICK)
    assert keys.failure
    assert keys.tried


@pytest.mark.parametrize("document", ORDER)
async def test_e6_4_a_compressed_body_is_not_unpacked(issuer, clock, document):
    headers = {"content-encoding": "gzip", "content-type": "application/json"}
    misbehave(issuer, document, Answer(headers=headers, body=b"\x1f\x8b\x08"))
    keys = await fetched(issuer, clock)
    assert "compressed" in keys.failure


@pytest.mark.parametrize("document", ORDER)
@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b'"keys"', b"<html>", b"\xff\xfe", b"[" * 100_000, b"{}"]
)
async def test_e6_4_a_body_that_is_not_the_document_is_refused(issuer, clock, document, body):
    misbehave(issuer, document, Answer(body=body))
    keys = await fetched(issuer, clock)
    assert keys.failure
    assert key_ids(keys) == []


@pytest.mark.parametrize(
    "named", ["https://evil.example", "", None, 5, "{url}/", "HTTPS://127.0.0.1", ["{url}"]]
)
async def test_e6_4_e6_6_discovery_must_name_exactly_the_configured_issuer(issuer, clock, named):
    if isinstance(named, str):
        named = named.format(url=issuer.url)
    issuer.discovery = {"issuer": named}
    keys = await fetched(issuer, clock)
    assert "its `issuer` is not" in keys.failure
    assert issuer.key_fetches == 0


@pytest.mark.parametrize(
    "place",
    [
        "http://127.0.0.1/keys",
        "http://169.254.169.254/latest/meta-data/",
        "file:///etc/passwd",
        "ftp://127.0.0.1/keys",
        "//127.0.0.1/keys",
        "keys",
        "",
        "https://",
        "https:///keys",
        "https://user:secret@127.0.0.1/keys",
        "https://127.0.0.1:99999/keys",
        "https://[::1/keys",
        "https://127.0.0.1/keys\r\nX-Injected: 1",
        "https://ex\u00e4mple/keys",
        5,
        None,
        ["https://127.0.0.1/keys"],
    ],
)
async def test_e6_4_keys_come_only_from_a_plain_https_url(issuer, clock, place):
    issuer.discovery = {"jwks_uri": place}
    keys = await fetched(issuer, clock)
    assert "`jwks_uri` is not a" in keys.failure
    assert issuer.key_fetches == 0


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "[fe80::1]",
        "[::ffff:169.254.169.254]",
        "0.0.0.0",
        "2852039166",
        "[ff02::1]",
    ],
)
async def test_e6_4_an_issuer_cannot_send_kzproxy_to_the_metadata_service(issuer, clock, host):
    """2852039166 is 169.254.169.254 in one number, which resolvers understand."""
    issuer.discovery = {"jwks_uri": f"https://{host}/keys"}
    keys = await fetched(issuer, clock)
    assert "internal or link-local address" in keys.failure


async def test_e6_4_an_issuer_inside_may_keep_its_keys_at_another_name_inside(issuer, clock):
    issuer.discovery = {"jwks_uri": issuer.url.replace("127.0.0.1", "localhost") + "/keys"}
    assert key_ids(await fetched(issuer, clock)) == ["key-1"]


async def test_e6_4_a_host_that_is_not_known_is_a_failure(issuer, clock):
    issuer.discovery = {"jwks_uri": "https://no-such-host.invalid/keys"}
    keys = await fetched(issuer, clock, PATIENT)
    assert "is not known" in keys.failure


async def test_e6_4_an_issuer_under_another_authority_is_not_believed(issuer, clock):
    stranger = Authority.root("stranger")
    keys = await fetched(issuer, clock, certificate_authority_pem=stranger.pem.decode())
    assert "certificate: unable to get local issuer certificate" in keys.failure
    assert issuer.discovery_fetches == 0


async def test_e6_4_without_its_authority_only_the_systems_trust_counts(issuer, clock):
    keys = await fetched(issuer, clock, certificate_authority_pem="")
    assert "certificate: unable to get local issuer certificate" in keys.failure


async def test_e6_4_a_proxy_of_the_environment_is_not_used(issuer, clock, monkeypatch):
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert key_ids(await fetched(issuer, clock)) == ["key-1"]


async def test_e6_4_too_many_keys_are_refused(issuer, clock):
    issuer.published = [{}] * 101
    assert "more than 100 keys" in (await fetched(issuer, clock)).failure


async def test_e6_4_a_good_key_beside_bad_ones_is_used(issuer, clock):
    issuer.published = [{"kty": "EC"}, issuer.keys[0].jwk(), None, {"kty": "oct", "k": "c2Vj"}]
    assert key_ids(await fetched(issuer, clock)) == ["key-1"]


async def test_e6_4_the_last_good_keys_stay_for_a_bounded_time(issuer, clock):
    keys = await fetched(issuer, clock)
    issuer.keys_answer = Answer(status=500, body=b"")
    await keys.fetch()
    assert keys.failure
    assert key_ids(keys) == ["key-1"]
    clock.advance(timedelta(hours=12) - timedelta(seconds=1))
    assert key_ids(keys) == ["key-1"]
    clock.advance(timedelta(seconds=1))
    assert key_ids(keys) == []


async def test_the_wall_clock_does_not_end_keys(issuer, clock):
    keys = await fetched(issuer, clock)
    clock.jump(timedelta(days=400))
    assert key_ids(keys) == ["key-1"]


async def test_e6_5_a_removed_key_is_gone_after_the_next_fetch(issuer, clock):
    keys = await fetched(issuer, clock)
    issuer.keys.append(SigningKey.make("key-2"))
    await keys.fetch()
    assert key_ids(keys) == ["key-1", "key-2"]
    del issuer.keys[0]
    await keys.fetch()
    assert key_ids(keys) == ["key-2"]


async def test_e6_5_an_issuer_that_publishes_no_key_has_withdrawn_them_all(issuer, clock):
    keys = await fetched(issuer, clock)
    issuer.keys.clear()
    await keys.fetch()
    assert keys.failure == ""
    assert key_ids(keys) == []


async def test_an_issuer_that_is_down_leaves_a_reason(issuer, clock, tmp_path, authority):
    directory = tmp_path / "gone"
    directory.mkdir()
    async with serving_issuer(directory, authority) as gone:
        keys = IssuerKeys(settings_of(gone), clock)
    await keys.fetch()
    assert keys.failure
    error = keys.unavailable()
    assert isinstance(error, ServiceUnavailable)
    assert gone.url in error.message
    assert error.retry_after_seconds == 10
    assert error.detail == keys.failure


async def test_fetching_goes_on_by_itself(issuer, clock):
    limits = KeyLimits(refresh_interval=timedelta(milliseconds=20))
    keys = IssuerKeys(settings_of(issuer), clock, limits)
    async with running(keys):
        await issuer.fetched(3)


async def test_fetching_goes_on_after_a_failure(issuer, clock):
    issuer.keys_answer = Answer(status=500, body=b"")
    short = timedelta(milliseconds=20)
    limits = KeyLimits(cool_down=short, refresh_interval=short)
    keys = IssuerKeys(settings_of(issuer), clock, limits)
    async with running(keys):
        await issuer.fetched(2)
        assert "the answer is 500" in keys.failure
        issuer.keys_answer = Answer()
        await issuer.fetched(issuer.key_fetches + 2)
    assert keys.failure == ""
    assert key_ids(keys) == ["key-1"]


async def test_e4_6_many_who_seek_share_one_fetch(issuer, clock):
    keys = IssuerKeys(settings_of(issuer), clock)
    async with running(keys):
        await asyncio.gather(*(keys.sought() for _ in range(1000)))
        assert key_ids(keys) == ["key-1"]
        assert issuer.key_fetches == 1
        await asyncio.gather(*(keys.sought() for _ in range(1000)))
        assert issuer.key_fetches == 1


async def test_e4_6_each_cool_down_allows_one_more_fetch(issuer, clock):
    keys = IssuerKeys(settings_of(issuer), clock)
    async with running(keys):
        for expected in (1, 2, 3):
            await asyncio.gather(*(keys.sought() for _ in range(10)))
            await keys.sought()
            assert issuer.key_fetches == expected
            clock.advance(timedelta(seconds=10))


async def test_whether_a_key_signed_is_said_only_where_it_is_known(issuer, clock):
    """For what is sent once: a no is final."""
    new, unnamed = SigningKey.make("key-2"), SigningKey.make("key-3")
    named, forged = (read_signed_token(key.token({})) for key in (new, SigningKey.make("key-1")))
    nameless = read_signed_token(unnamed.token({}, kid=None))
    keys = IssuerKeys(settings_of(issuer), clock)
    async with running(keys):
        await keys.sought()
        clock.advance(timedelta(seconds=4))
        issuer.keys.append(new)
        for token in (named, nameless):
            with pytest.raises(KeyNotYetKnown) as refused:
                await keys.sure_signer(token)
            assert refused.value.retry_after_seconds == 6
        assert await keys.sure_signer(forged) is None  # its key is known, and has not signed it
        assert issuer.key_fetches == 1
        clock.advance(timedelta(seconds=6))
        assert (await keys.sure_signer(named)).key_id == "key-2"
        with pytest.raises(KeyNotYetKnown):
            await keys.sure_signer(nameless)
        clock.advance(timedelta(seconds=10))
        assert await keys.sure_signer(nameless) is None
        assert issuer.key_fetches == 3
        issuer.keys_answer = Answer(status=500, body=b"")
        clock.advance(timedelta(seconds=10))
        with pytest.raises(ServiceUnavailable, match="could not be fetched"):
            await keys.sure_signer(nameless)


async def test_a_fetch_that_began_before_says_nothing_of_a_key_that_is_newer(issuer, clock):
    """The set was read over there already when the key was put into it, and used."""
    new = SigningKey.make("key-2")
    issuer.published = [key.jwk() for key in issuer.keys]
    issuer.keys_answer = Answer(hang=True)
    keys = IssuerKeys(settings_of(issuer), clock)
    token = read_signed_token(new.token({}))

    async def answered() -> None:
        issuer.let_go.set()

    async with running(keys):
        await issuer.fetched(1)
        with pytest.raises(KeyNotYetKnown) as refused:
            await asyncio.gather(keys.sure_signer(token), answered())
        assert refused.value.retry_after_seconds == 10
        issuer.keys_answer, issuer.published = Answer(), None
        issuer.keys.append(new)
        clock.advance(timedelta(seconds=10))
        assert (await keys.sure_signer(token)).key_id == "key-2"


async def test_a_client_that_hangs_up_does_not_end_the_fetch(issuer, clock):
    issuer.keys_answer = Answer(hang=True)
    keys = IssuerKeys(settings_of(issuer), clock)
    async with running(keys), asyncio.TaskGroup() as group:
        impatient = group.create_task(keys.sought())
        await issuer.fetched(1)
        impatient.cancel()
        patient = group.create_task(keys.sought())
        issuer.let_go.set()
        await patient
        assert key_ids(keys) == ["key-1"]
        assert issuer.key_fetches == 1


async def test_who_waits_for_a_fetch_that_is_cut_off_waits_for_the_next_one(issuer, clock):
    """A reload ends what fetches, and the next configuration goes on with the same keys."""
    issuer.keys_answer = Answer(hang=True)
    keys = IssuerKeys(settings_of(issuer), clock)
    async with asyncio.TaskGroup() as group:
        async with running(keys):
            waiting = group.create_task(keys.sought())
            await issuer.fetched(1)
        later = group.create_task(keys.sought())
        await asyncio.sleep(0.01)
        assert not waiting.done()
        assert not later.done()  # no cool-down has begun
        assert not keys.tried  # nothing is known of its keys, so nobody is refused by them
        issuer.keys_answer = Answer()
        async with running(keys), asyncio.timeout(5):
            await asyncio.gather(waiting, later)
            assert key_ids(keys) == ["key-1"]


async def test_who_seeks_does_not_wait_longer_than_a_fetch_may_take(issuer, clock):
    """Nothing runs that would fetch."""
    keys = IssuerKeys(settings_of(issuer), clock, KeyLimits(fetch_timeout=timedelta(seconds=-0.99)))
    async with asyncio.timeout(5):
        await keys.sought()
    assert key_ids(keys) == []

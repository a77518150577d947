"""Sessions in kzproxy's store, and tokens for them, without anybody signing in."""

import asyncio
import hashlib
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from bench.policy import PREFIX
from bench.programs import CannotRunError
from bench.systems.keeping import LEAVERS, WATCHERS
from kzproxy.administrator.session import SessionRecord
from kzproxy.administrator.session_entry import session_put
from kzproxy.authentication.session_keys import SigningKeys
from kzproxy.authentication.session_token import SessionTokens
from kzproxy.clock.system import Clock
from kzproxy.config.proxy import ProxySettings, load_proxy_settings
from kzproxy.store.following import Following
from kzproxy.store.sealing import Sealer
from kzproxy.store.sqlite import SqliteStore

_TOGETHER = 500
_TOKEN_LIFE = timedelta(minutes=5)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A session.

    Attributes:
        leaves: Whether the policy that is put in place later does not permit it anything.
    """

    id: str
    token: str = field(repr=False)
    leaves: bool


def keep_sessions(directory: Path, certificate: Path, count: int, clock: Clock) -> list[Kept]:
    """Write sessions into the store of the kzproxy in ``directory``, which runs.

    All are on one client, whose certificate this is; one in twenty leaves.

    Raises:
        CannotRunError: kzproxy has no key to sign with.
    """
    settings = load_proxy_settings(directory / "kzproxy.yaml")
    return asyncio.run(_keep(settings, certificate.read_bytes(), count, clock))


async def _keep(settings: ProxySettings, pem: bytes, count: int, clock: Clock) -> list[Kept]:
    if settings.store is None or settings.sign_in is None:
        raise CannotRunError("it keeps no sessions")
    leaf = x509.load_pem_x509_certificate(pem)
    thumbprint = hashlib.sha256(leaf.public_bytes(Encoding.DER)).hexdigest()
    store = SqliteStore.open(settings.store.file, clock)
    following = Following(store, clock)
    keys = SigningKeys(Sealer(settings.store.keys))
    following.follow(keys)
    await following.start()
    records = [_record(number, settings, leaf, clock) for number in range(count)]
    for begin in range(0, count, _TOGETHER):
        await store.write(*(session_put(one, None) for one in records[begin : begin + _TOGETHER]))
    await store.close()
    tokens = SessionTokens(keys, clock, issuer=settings.sign_in.url)
    return [
        Kept(
            id=one.id,
            token=tokens.issue(one.id, thumbprint, life=_TOKEN_LIFE).text,
            leaves=one.groups == (f"{PREFIX}{LEAVERS}",),
        )
        for one in records
    ]


def _record(
    number: int, settings: ProxySettings, leaf: x509.Certificate, clock: Clock
) -> SessionRecord:
    issuer, now = settings.issuers[0], clock.now()
    key = leaf.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    group = LEAVERS if number % 20 == 0 else WATCHERS
    return SessionRecord(
        id=f"{number:032x}",
        username=f"{PREFIX}watcher-{number:05}",
        groups=(f"{PREFIX}{group}",),
        issuer=issuer.url,
        subject=f"watcher-{number:05}",
        vouched_by=issuer.revision,
        began_at=now,
        ends_at=now + settings.sessions.absolute,
        seen_at=now,
        verified_at=now,
        key_thumbprint=hashlib.sha256(key).hexdigest(),
    )

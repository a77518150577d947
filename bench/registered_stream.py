"""What a registered stream weighs, and what a session token costs.

``python -m bench.registered_stream`` prints JSON. By themselves, in one process, because beside a
watch's own tens of kilobytes nothing of this could be told apart.
"""

import asyncio
import gc
import json
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from bench.machine import pinned
from bench.programs import CannotRunError, output_of
from kzproxy.administrator.administrator import Administrator
from kzproxy.administrator.lease import Ending
from kzproxy.administrator.session import SessionRecord, SessionSettings
from kzproxy.administrator.session_directory import SessionDirectory
from kzproxy.administrator.trust import Trust
from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import NO_DEVICE
from kzproxy.attributes.environment import Environment
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.authentication.session_authenticator import SessionAuthenticator, SessionSource
from kzproxy.authentication.session_keys import SigningKeys
from kzproxy.authentication.session_token import SessionTokens
from kzproxy.authentication.settings import JwtIssuerSettings, PrefixedClaim
from kzproxy.clock.system import SystemClock
from kzproxy.policy.decision import Permit
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.rules import AccessPolicySet, Effect, Match, Rule
from kzproxy.store.following import Following
from kzproxy.store.sealing import Sealer
from kzproxy.store.sqlite import SqliteStore

_STREAMS, _SESSIONS, _TOKENS, _TIMES = 10_000, 1_000, 500, 20
_ISSUER = JwtIssuerSettings(
    url="https://idp.example.com",
    audiences=("kubernetes",),
    username=PrefixedClaim(claim="sub", prefix=""),
)
_THUMBPRINT = "ab" * 32


def main() -> None:
    """Measure and print JSON."""
    with tempfile.TemporaryDirectory() as directory:
        found = asyncio.run(_measure(Path(directory)))
    sys.stdout.write(json.dumps({key: round(value, 3) for key, value in found.items()}) + "\n")


def in_own_process(core: int | None) -> dict[str, float]:
    """Measure in a new process on ``core``.

    Raises:
        CannotRunError: It failed.
    """
    text = output_of(*pinned(core, [sys.executable, "-m", "bench.registered_stream"]))
    try:
        found: dict[str, float] = json.loads(text)
    except ValueError as error:
        raise CannotRunError(f"bench.registered_stream said {text!r}") from error
    return found


async def _measure(directory: Path) -> dict[str, float]:
    clock = SystemClock()
    store = SqliteStore.open(directory / "kept.db", clock)
    following = Following(store, clock)
    sessions = SessionDirectory(store, following, clock, SessionSettings(per_user=_SESSIONS))
    keys = SigningKeys(Sealer([bytes(32)]))
    following.follow(keys)
    await following.start()
    await following.write(*keys.due(clock.now()))
    for number in range(_SESSIONS):
        await sessions.begin(_record(number, clock))
    tokens = SessionTokens(keys, clock, issuer="https://kzproxy.example.com")
    source = SessionSource(tokens=tokens, sessions=sessions, catch_up=following.catch_up)
    found = await _tokens(SessionAuthenticator(source, (_ISSUER,), clock), tokens)
    found |= _streams(sessions, clock)
    await store.close()
    return found


async def _tokens(authenticator: SessionAuthenticator, tokens: SessionTokens) -> dict[str, float]:
    made = [
        tokens.issue(f"{number:032x}", _THUMBPRINT, life=timedelta(minutes=5)).text
        for number in range(_TOKENS)
    ]
    begun = time.process_time()
    for token in made:
        await authenticator.authenticate(token)
    first = time.process_time() - begun
    begun = time.process_time()
    for _ in range(_TIMES):
        for token in made:
            if authenticator.remembered(token) is None:
                raise CannotRunError("a token was forgotten")
    again = (time.process_time() - begun) / _TIMES
    return {"first_token_us": first / _TOKENS * 1e6, "token_us": again / _TOKENS * 1e6}


def _streams(sessions: SessionDirectory, clock: SystemClock) -> dict[str, float]:
    administrator = Administrator(PolicyEngine(AccessPolicySet(rules=(_rule(),))), _trust(), clock)
    administrator.consult(sessions)
    attributes = [_attributes(sessions, number, clock) for number in range(_STREAMS)]
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    leases = [_opened(administrator, facts) for facts in attributes]
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return {"stream_kb": (after - before) / len(leases) / 1000}


def _opened(administrator: Administrator, facts: Attributes) -> object:
    """Do what happens for each stream: what asks is its own, and so is what permits it."""
    own = replace(facts, environment=replace(facts.environment))
    permit = administrator.decide(own)
    if not isinstance(permit, Permit):
        raise CannotRunError("a stream is not permitted")
    cut: Callable[[Ending], Any] = _Stream().cut
    return administrator.open(permit, facts.subject.sign_in, cut)


class _Stream:
    """What is told to end; of the watch, not of what registers it, but for its method."""

    __slots__ = ()

    def cut(self, ending: Ending) -> None:
        """End."""


def _attributes(sessions: SessionDirectory, number: int, clock: SystemClock) -> Attributes:
    target = f"/api/v1/namespaces/team-{number % 10}/pods?watch=true"
    return Attributes(
        subject=sessions.identity(f"{number % _SESSIONS:032x}", clock.now()),
        device=NO_DEVICE,
        request=RequestInfo.parse("GET", target),
        environment=Environment(
            received_at=clock.now(), source_address=ip_address("192.0.2.1"), user_agent="k9s"
        ),
    )


def _rule() -> Rule:
    return Rule(
        id="watch",
        effect=Effect.ALLOW,
        groups=frozenset({"dev"}),
        match=(
            Match(
                verbs=frozenset({"watch"}),
                api_groups=frozenset({""}),
                resources=frozenset({"pods"}),
            ),
        ),
    )


def _trust() -> Trust:
    return Trust(issuers=frozenset({_ISSUER.revision}), device_authorities=frozenset())


def _record(number: int, clock: SystemClock) -> SessionRecord:
    now = clock.now()
    return SessionRecord(
        id=f"{number:032x}",
        username=f"user-{number}",
        groups=("dev",),
        issuer=_ISSUER.url,
        subject=f"user-{number}",
        vouched_by=_ISSUER.revision,
        began_at=now,
        ends_at=now + timedelta(hours=1),
        seen_at=now,
        verified_at=now,
        key_thumbprint=_THUMBPRINT,
    )


if __name__ == "__main__":
    main()

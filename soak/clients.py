"""Users over plain HTTP: a steady mixture of small requests, and single ones to look with."""

import asyncio
import itertools
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from bench.world import SERVER_NAME, Identity
from soak.stage import NAMESPACES, SETTINGS, Stage, config_map
from soak.tally import Tally

_SECONDS = 30.0
_MERGE_PATCH = "application/merge-patch+json"
# Steps at one time; the next waits.
AT_ONCE = 20
_NAMES = 50
_JSON = "application/json"


def configmaps(namespace: str) -> str:
    """Return the path of the ConfigMaps of ``namespace``."""
    return f"/api/v1/namespaces/{namespace}/configmaps"


def tls(authority: Path, certificate: Path, key: Path) -> ssl.SSLContext:
    """Return what a user on a device trusts and shows."""
    context = ssl.create_default_context(cafile=authority)
    context.load_cert_chain(certificate, key)
    return context


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """A request.

    Attributes:
        verb: What it is counted as.
        expected: The status that it must be answered with.
        headers: Beside those of every request of its user; or instead.
    """

    verb: str
    method: str
    path: str
    body: object = None
    content_type: str = _JSON
    expected: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


class User:
    """Somebody with a token, on a device with a certificate."""

    def __init__(self, stage: Stage, port: int, identity: Identity, tally: Tally) -> None:
        """Connect to nothing yet; ``close`` ends its connections."""
        self.identity = identity
        self._tally = tally
        self.client = httpx.AsyncClient(
            base_url=f"https://{SERVER_NAME}:{port}",
            verify=tls(stage.authority_file, identity.certificate, identity.key),
            headers={"Authorization": f"Bearer {identity.token}"},
            timeout=httpx.Timeout(_SECONDS),
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=4),
            trust_env=False,
        )

    async def ask(self, ask: Ask) -> int:
        """Ask once; return the status, 0 where there was no answer."""
        began, what = self._tally.now(), f"{ask.method} {ask.path}"
        self._tally.requests[ask.verb] += 1
        try:
            answer = await self.client.request(
                ask.method,
                ask.path,
                json=ask.body,
                headers={"Content-Type": ask.content_type, **ask.headers}
                if ask.body
                else ask.headers,
            )
        except (httpx.TransportError, OSError) as error:
            self._tally.failed(what, repr(error), began, broken=True)
            return 0
        self._tally.answered(what, answer.headers.get("Audit-Id", ""), answer.status_code)
        if answer.status_code != ask.expected:
            why = f"{answer.status_code}: {answer.text[:200]}"
            self._tally.failed(what, why, began, broken=False)
        return answer.status_code

    async def close(self) -> None:
        """Close its connections."""
        await self.client.aclose()


def mixture(tally: Tally) -> Iterator[tuple[Ask, ...]]:
    """Yield for ever what a user does next; what belongs together is done in turn.

    Names come again, so that what kzproxy remembers of request lines is soon all there. After a
    kill they are others, because what was made just before it may not have been deleted.
    """
    for number in itertools.count():
        namespace = NAMESPACES[number % len(NAMESPACES)]
        target = configmaps(namespace)
        one = f"{target}/{SETTINGS[number % len(SETTINGS)]}"
        yield (Ask(verb="get", method="GET", path=one),)
        yield (Ask(verb="list", method="GET", path=f"{target}?limit=500"),)
        yield (Ask(verb="get", method="GET", path="/version"),)
        change = {"metadata": {"annotations": {"number": str(number)}}}
        yield (Ask(verb="patch", method="PATCH", path=one, body=change, content_type=_MERGE_PATCH),)
        yield (Ask(verb="get", method="GET", path="/apis/apps/v1"),)
        yield _made_and_deleted(target, f"made-{number % _NAMES}-{len(tally.kills)}")
        yield (Ask(verb="absent", method="GET", path=f"{target}/absent", expected=404),)
        # kzproxy lets it through, and RBAC does not.
        yield (Ask(verb="forbidden", method="GET", path="/api/v1/nodes/none", expected=403),)


def _made_and_deleted(target: str, name: str) -> tuple[Ask, ...]:
    return (
        Ask(verb="create", method="POST", path=target, body=config_map(name), expected=201),
        Ask(verb="delete", method="DELETE", path=f"{target}/{name}"),
    )


async def steadily(users: list[User], tally: Tally, per_second: float) -> None:
    """Do the mixture for ever, so many steps a second, by each user in turn."""
    asks, turns = mixture(tally), itertools.cycle(users)
    room = asyncio.Semaphore(AT_ONCE)

    async def step(user: User, together: tuple[Ask, ...]) -> None:
        async with room:
            for ask in together:
                if not await user.ask(ask):
                    break  # nobody knows what became of it

    async with asyncio.TaskGroup() as group:
        while True:
            group.create_task(step(next(turns), next(asks)))
            await asyncio.sleep(1 / per_second)

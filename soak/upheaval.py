"""What is done to kzproxy under load: reloads, good and bad, hang-ups and kills.

One after the other: each is seen to have been done before the next begins.
"""

import asyncio
import itertools
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import httpx
from cryptography import x509

from bench.world import SERVER_NAME
from soak.clients import User, configmaps, tls
from soak.policy import BAD, other, policy
from soak.proxy import WORKERS, Proxy
from soak.stage import NAMESPACES, PROBES, Stage
from soak.tally import Tally
from soak.verdict import Line

_DONE_SECONDS = 20.0
_LOOK_SECONDS = 0.3
# With two workers behind one address so many connections miss one of them once in a thousand times.
_IN_A_ROW = 10
_OK = 200
_FORBIDDEN = 403


@dataclass(slots=True, kw_only=True)
class Upheaval:
    """Does them, and keeps what did not come about.

    Attributes:
        kills_until: No kill after this many seconds of the tally.
        kills: How often each worker was killed.
    """

    stage: Stage
    proxy: Proxy
    user: User
    tally: Tally
    kills_until: float
    kill_every: float
    kills: Counter[int] = field(default_factory=Counter)
    done: Counter[str] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)
    _hidden: str = PROBES[1]

    async def run(self, pause_seconds: float) -> None:
        """Go on for ever."""
        actions = itertools.cycle(
            (
                self._serving_certificate,
                self._policy,
                self._device_authority,
                self._hang_up,
                self._bad_policy,
            )
        )
        kill_at = self.tally.now() + self.kill_every
        while True:
            await asyncio.sleep(pause_seconds)
            if kill_at <= self.tally.now() <= self.kills_until:
                kill_at += self.kill_every
                await self._kill()
            await next(actions)()

    def line(self) -> Line:
        """Say that each was done."""
        return Line(
            name="reloads are taken, bad ones refused",
            found=", ".join(f"{count} {what}" for what, count in sorted(self.done.items())),
            problems=tuple(self.problems),
        )

    async def _kill(self) -> None:
        number = self.kills.total() % WORKERS + 1
        self.kills[number] += 1
        self.tally.killed()
        self.proxy.kill(number)
        await asyncio.sleep(_LOOK_SECONDS)
        await self._until("kills", "both workers are ready again", self.proxy.is_ready)

    async def _serving_certificate(self) -> None:
        issued = self.stage.serving_certificate()
        serial = x509.load_pem_x509_certificate(issued.certificate_pem).serial_number
        self.proxy.put_serving_certificate(issued)
        await self._until(
            "serving certificates", "the new one is shown", lambda: self._all_show(serial)
        )

    async def _device_authority(self) -> None:
        """Trust a new authority beside the users' own, which stays: so must their streams."""
        authority = self.stage.authority("soak further devices")
        pair = self.stage.device(authority, "laptop-further")
        certificate, key = (self.stage.directory / f"further.{end}" for end in ("crt", "key"))
        pair.write(certificate, key)
        self.proxy.put_device_authorities(authority.certificate_pem)
        shown = tls(self.stage.authority_file, certificate, key)
        await self._until(
            "device authorities",
            "a device of the new one is let in",
            lambda: self._let_in(shown),
        )

    async def _policy(self) -> None:
        self._hidden = other(self._hidden)
        self.proxy.put_policy(policy(self._hidden))
        await self._until("policies", f"{self._hidden} is hidden", self._is_in_force)

    async def _bad_policy(self) -> None:
        self.proxy.put_policy(BAD)
        await self._until("bad policies", "it is told of by both", self._both_complain)
        if not await self._is_in_force():
            self.problems.append("bad policies: the one before is not in force")
        if not await self.proxy.is_ready():
            self.problems.append("bad policies: kzproxy is not ready")
        self.proxy.put_policy(policy(self._hidden))
        await self._until("bad policies taken back", "no failure is told", self._is_in_order)

    async def _hang_up(self) -> None:
        before = await self._reloads()
        self.proxy.hang_up()

        async def read_again() -> bool:
            return await self._reloads() >= before + WORKERS

        await self._until("SIGHUPs", "both have read again", read_again)

    async def _reloads(self) -> float:
        return (await self.proxy.metrics()).get("kzproxy_config_reloads_total", 0.0)

    async def _until(self, what: str, holds: str, condition: Callable[[], Awaitable[bool]]) -> None:
        self.done[what] += 1
        began = self.tally.now()
        try:
            async with asyncio.timeout(_DONE_SECONDS):
                while True:
                    if await condition():
                        return
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            readiness = (await self.proxy.readiness())[:500]
            self.problems.append(
                f"{what}: at {began:.0f} s: not within {_DONE_SECONDS:.0f} s: {holds}: {readiness}"
            )

    async def _both_complain(self) -> bool:
        said = await self.proxy.readiness()
        return said.count("policy.yaml") >= WORKERS

    async def _is_in_order(self) -> bool:
        said = await self.proxy.readiness()
        return (
            "policy.yaml" not in said
            and (await self.proxy.metrics())["kzproxy_config_reload_success"] == 1
        )

    async def _is_in_force(self) -> bool:
        """Whether every worker hides what is hidden now, and shows the other."""
        identity = self.user.identity
        shown = tls(self.stage.authority_file, identity.certificate, identity.key)
        target = configmaps(NAMESPACES[0])
        return await self._all_answer(
            shown, f"{target}/{self._hidden}", _FORBIDDEN
        ) and await self._all_answer(shown, f"{target}/{other(self._hidden)}", _OK)

    async def _let_in(self, shown: ssl.SSLContext) -> bool:
        """Whether a device is let in by every worker.

        Until it is, its handshakes fail: by an alert, or a reset where it has said more already.
        """
        try:
            return await self._all_asked(shown, "/version", _OK)
        except (httpx.TransportError, OSError):
            return False

    async def _all_answer(self, shown: ssl.SSLContext, path: str, status: int) -> bool:
        began = self.tally.now()
        try:
            return await self._all_asked(shown, path, status)
        except (httpx.TransportError, OSError) as error:
            self.tally.failed(f"GET {path}", repr(error), began, broken=True)
            return False

    async def _all_asked(self, shown: ssl.SSLContext, path: str, status: int) -> bool:
        """Ask over new connections, one after the other, until one is answered otherwise."""
        for _ in range(_IN_A_ROW):
            if await self._asked_anew(shown, path) != status:
                return False
        return True

    async def _asked_anew(self, shown: ssl.SSLContext, path: str) -> int:
        self.tally.requests["probe"] += 1
        async with httpx.AsyncClient(
            base_url=f"https://{SERVER_NAME}:{self.proxy.port}",
            verify=shown,
            headers={"Authorization": f"Bearer {self.user.identity.token}"},
            trust_env=False,
        ) as client:
            answer = await client.get(path)
        audit_id = answer.headers.get("Audit-Id", "")
        self.tally.answered(f"GET {path}", audit_id, answer.status_code)
        return answer.status_code

    async def _all_show(self, serial: int) -> bool:
        context = ssl.create_default_context(cafile=self.stage.authority_file)
        for _ in range(_IN_A_ROW):
            _, writer = await asyncio.open_connection(
                SERVER_NAME, self.proxy.port, ssl=context, server_hostname=SERVER_NAME
            )
            shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
            writer.close()
            if x509.load_der_x509_certificate(shown).serial_number != serial:
                return False
        return True

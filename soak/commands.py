"""Real kubectl: every verb in turn, for ever."""

import asyncio
import itertools
import json
import re
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import httpx

from kzproxy.demo.kubectl import Kubectl
from soak.stage import NAMESPACES, POD, PODS_NAMESPACE, SETTINGS, config_map
from soak.tally import Tally

_SECONDS = 40.0
_FOLLOWED_SECONDS = 3.0
_BEGINNING_SECONDS = 15.0
# kubectl tells the headers of answers from this on; audit ids are taken from there.
_VERBOSE = "-v=8"
_AUDIT_ID = re.compile(rb"Audit-Id[\"':=\[\s]+([0-9a-f-]{36})", re.IGNORECASE)
_LOCAL_PORT = re.compile(rb"127\.0\.0\.1:(\d+) ->")
_IN_POD = (f"--namespace={PODS_NAMESPACE}", POD)
_MAIN = (*_IN_POD, "--container=main", "--")
_TICKER = (*_IN_POD, "--container=ticker")

Verb = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Commands:
    """Runs kubectl through kzproxy, and looks at what it prints."""

    kubectl: Kubectl
    tally: Tally

    async def mixed(self) -> None:
        """Do each verb in turn, for ever."""
        for number in itertools.count():
            for verb in self._verbs(number):
                await verb()

    async def execs(self, pause_seconds: float) -> None:
        """Exec again and again."""
        for number in itertools.count():
            word = f"word-{number}"
            await self._run("exec", "exec", *_MAIN, "echo", word, expects=word)
            await asyncio.sleep(pause_seconds)

    def _verbs(self, number: int) -> Sequence[Verb]:
        def run(*words: str, **more: str) -> Verb:
            return partial(self._run, *words, **more)

        space = f"--namespace={NAMESPACES[number % len(NAMESPACES)]}"
        name = SETTINGS[number % len(SETTINGS)]
        applied = json.dumps(config_map(f"applied-{number % 3}"))
        change = json.dumps({"data": {"patched": str(number)}})
        return (
            run("kubectl get", "get", "configmap", name, space, "--output=json", expects=name),
            run("kubectl list", "get", "configmaps", space, expects=name),
            run("kubectl apply", "apply", "--filename=-", space, stdin=applied, expects="applied"),
            run(
                "kubectl patch", "patch", "configmap", name, space, "--patch", change, expects=name
            ),
            run("kubectl describe", "describe", "pod", *_IN_POD, expects="ticker"),
            run("kubectl auth can-i", "auth", "can-i", "get", "pods", space, expects="yes"),
            run("kubectl auth can-i", "auth", "can-i", "--list", space, expects="configmaps"),
            run("kubectl logs", "logs", *_TICKER, "--tail=3", expects="tick"),
            self._followed,
            self._forwarded,
            run("kubectl delete", "delete", "configmap", f"applied-{number % 3}", space),
        )

    async def _run(self, verb: str, *words: str, stdin: str = "", expects: str = "") -> None:
        began = self.tally.now()
        self.tally.requests[verb] += 1
        async with self._running(*words) as process:
            try:
                async with asyncio.timeout(_SECONDS):
                    out, said = await process.communicate(stdin.encode())
            except TimeoutError:
                self.tally.failed(verb, f"over {_SECONDS} s", began, broken=True)
                return
        self._heard(verb, said)
        if process.returncode:
            why = f"exit code {process.returncode}: {_last_words(said)}"
            self.tally.failed(verb, why, began, broken=True)
        elif expects not in out.decode(errors="replace"):
            self.tally.failed(verb, f"prints {out[-200:]!r}", began, broken=False)

    async def _followed(self) -> None:
        """Follow a log for a while."""
        verb = "kubectl logs -f"
        began = self.tally.now()
        self.tally.requests[verb] += 1
        async with self._running("logs", "--follow", *_TICKER, "--tail=1") as process:
            try:
                await _line(process, b"tick")
                await asyncio.sleep(_FOLLOWED_SECONDS)
                await _line(process, b"tick")
            except (EOFError, TimeoutError) as error:
                self.tally.failed(verb, repr(error), began, broken=True)
            await self._interrupted(verb, process)

    async def _forwarded(self) -> None:
        """Fetch something over a forwarded port."""
        verb = "kubectl port-forward"
        began = self.tally.now()
        self.tally.requests[verb] += 1
        port = await self._served_port()
        if not port:
            return
        async with self._running("port-forward", *_IN_POD, f":{port}") as process:
            try:
                told = _LOCAL_PORT.search(await _line(process, b"->"))
                local = int(told[1]) if told else 0
                async with httpx.AsyncClient(trust_env=False, timeout=_BEGINNING_SECONDS) as client:
                    (await client.get(f"http://127.0.0.1:{local}/port")).raise_for_status()
            except (EOFError, TimeoutError, httpx.HTTPError) as error:
                self.tally.failed(verb, repr(error), began, broken=True)
            await self._interrupted(verb, process)

    async def _served_port(self) -> str:
        began = self.tally.now()
        async with self._running("exec", *_MAIN, "cat", "port") as process:
            out, said = await process.communicate()
        self.tally.requests["exec"] += 1
        self._heard("exec", said)
        if process.returncode:
            self.tally.failed("exec", _last_words(said), began, broken=True)
            return ""
        return out.decode().strip()

    async def _interrupted(self, verb: str, process: asyncio.subprocess.Process) -> None:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        _, said = await process.communicate()
        self._heard(verb, said)

    @asynccontextmanager
    async def _running(self, *words: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run kubectl until the block ends, however it ends."""
        process = await asyncio.create_subprocess_exec(
            str(self.kubectl.program),
            *(words[0], _VERBOSE, *words[1:]),
            env=self.kubectl.environment(),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()

    def _heard(self, verb: str, said: bytes) -> None:
        """Take the audit ids from what kubectl tells of its requests."""
        for found in _AUDIT_ID.finditer(said):
            self.tally.answered(verb, found[1].decode())


async def _line(process: asyncio.subprocess.Process, having: bytes) -> bytes:
    """Return the next line with ``having`` in it; raises EOFError where there is none."""
    stream = process.stdout
    async with asyncio.timeout(_BEGINNING_SECONDS):
        while stream is not None and (line := await stream.readline()):
            if having in line:
                return line
    raise EOFError(f"ended before a line with {having!r}")


def _last_words(said: bytes) -> str:
    lines = said.decode(errors="replace").strip().splitlines()
    return " / ".join(lines[-2:])[-300:]

"""Read the configuration again when a file of it changes, and put it in force whole or not at all.

Files are looked at by ``stat`` twice a second: no watch can be lost, and it sees through the links
of a ConfigMap. Changed files are left alone until two looks see the same, so that those which are
written one after the other are mostly read together, and one that is being written in place is not
read half-written: half of a policy is a policy, without its last rules.
"""

import asyncio
import logging
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import datetime
from pathlib import Path

from kzproxy.config.proxy import ProxySettings, load_proxy_settings
from kzproxy.config.sources import Looks, Sources
from kzproxy.errors.configuration import ConfigurationError, Mistake
from kzproxy.server.account_checks import check_account
from kzproxy.server.generation import Generation, next_generation
from kzproxy.server.in_force import InForce
from kzproxy.server.own_files import OwnFiles
from kzproxy.server.parts import Parts, build_parts
from kzproxy.server.services import Services
from kzproxy.server.startup import read_namespaces
from kzproxy.server.way import build_api_server

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5
# What failed for another reason than a file's content, such as kube-apiserver being away, gives no
# sign when it would succeed.
RETRY_SECONDS = 30.0
_SHOWN_MISTAKES = 3


class FileWatch:
    """Says when the files that were read are to be read again."""

    def __init__(self, sources: Sources) -> None:
        self._sources = sources
        self._seen: Looks = {}

    def due(self) -> bool:
        """Look once; true at the second look that sees the same change."""
        before, self._seen = self._seen, self._sources.as_they_are()
        return self._seen == before and self._sources.differ(before)


class Reloader:
    """Reads again, judges what it reads, and has it put in force."""

    def __init__(
        self,
        config_file: Path,
        sources: Sources,
        in_force: InForce,
        services: Services,
        *,
        asked: asyncio.Event,
    ) -> None:
        """Take the file, and the ``sources`` of the generation that is in force.

        When ``asked`` is set everything is read again, whether or not a file has changed.
        """
        self._config_file = config_file
        self._watch = FileWatch(sources)
        self._in_force = in_force
        self._services = services
        self._started_with = in_force.generation.settings
        self._in_force_since = services.clock.now()
        self._asked = asked
        self._retry_at: float | None = None
        self._failure = ""
        self._own_files = OwnFiles()

    def notices(self) -> dict[str, str]:
        """Say for operators whether the files as they are now are in force."""
        return {"configuration": self._failure or "ok"}

    async def run(self) -> None:
        """Look, and read again where that is due, until cancelled."""
        while True:
            asked = await self._asked_before_next_look()
            if self.due() or asked:
                await self.reload()

    def due(self) -> bool:
        """Look once; true where a file has changed, or where what failed is to be tried again."""
        return self._watch.due() or self._retry_is_due()

    async def reload(self) -> None:
        """Read everything again; never raises."""
        sources = Sources()
        try:
            settings, parts = await asyncio.to_thread(
                self._own_files.loading, lambda: self._read(sources)
            )
            generation = await self._successor(settings, parts)
        except ConfigurationError as error:
            self._fail(error.mistakes)
        except OSError as error:  # No file's: of those the mistakes tell.
            self._fail([self._want_of_means(error)])
        except Exception:
            log.exception("bug while reading the configuration again")
            self._fail([Mistake(source=str(self._config_file), message="cannot be read; a bug")])
        else:
            self._succeed(generation)
        self._watch = FileWatch(sources)

    def _want_of_means(self, error: OSError) -> Mistake:
        """Say what this machine lacks, such as descriptors."""
        message = f"cannot be read for now: {error}; the next attempt is in {RETRY_SECONDS:.0f} s"
        return Mistake(source=str(self._config_file), message=message)

    async def _asked_before_next_look(self) -> bool:
        try:
            async with asyncio.timeout(LOOK_SECONDS):
                await self._asked.wait()
        except TimeoutError:
            return False
        self._asked.clear()
        return True

    def _retry_is_due(self) -> bool:
        return self._retry_at is not None and self._services.clock.monotonic() >= self._retry_at

    def _read(self, sources: Sources) -> tuple[ProxySettings, Parts]:
        """Read all files; on a thread, for a large policy takes longer than a request may wait."""
        settings = load_proxy_settings(self._config_file, sources)
        known = self._in_force.generation.parts.locations
        return settings, build_parts(settings, self._services.clock, known)

    async def _successor(self, settings: ProxySettings, parts: Parts) -> Generation:
        before = self._in_force.generation
        account = before.point.forwarding.settings.account
        was = before.settings
        if (settings.upstream, settings.send_uid) != (was.upstream, was.send_uid):
            account = await self._checked_account(settings, parts)
        generation = next_generation(before, settings, parts, self._services, account)
        if generation.namespaces is not before.namespaces:
            with ExitStack() as unless_read:
                if generation.api_server is not before.api_server:
                    unless_read.callback(generation.api_server.close)
                await read_namespaces(generation.namespaces)
                unless_read.pop_all()
        return generation

    async def _checked_account(self, settings: ProxySettings, parts: Parts) -> str:
        checking = build_api_server(parts.account, self._services)
        try:
            report = await check_account(checking, send_uid=settings.send_uid)
        finally:
            checking.close()
        if report.problems:
            raise ConfigurationError(
                [Mistake(source="upstream", message=problem) for problem in report.problems]
            )
        return report.username

    def _succeed(self, generation: Generation) -> None:
        self._in_force.install(generation)
        self._in_force_since = self._services.clock.now()
        self._failure, self._retry_at = "", None
        self._count("success")
        log.info(
            "configuration read again; policy %s is in force", generation.parts.engine.revision
        )
        for name in needing_restart(self._started_with, generation.settings):
            log.warning("%s has changed, which takes a restart of kzproxy", name)

    def _fail(self, mistakes: Sequence[Mistake]) -> None:
        failure = failure_words(self._in_force_since, mistakes)
        if failure != self._failure:
            for mistake in mistakes:
                log.error("configuration not reloaded: %s", mistake)
        self._failure = failure
        self._retry_at = self._services.clock.monotonic() + RETRY_SECONDS
        self._count("failure")

    def _count(self, outcome: str) -> None:
        metrics = self._services.metrics
        metrics.reloads.labels(outcome).inc()
        metrics.reload_success.set(1 if outcome == "success" else 0)


def needing_restart(was: ProxySettings, now: ProxySettings) -> list[str]:
    """Name the fields that differ and are only read at the start."""
    fields = {
        "listen.address": was.listen != now.listen,
        "ops.address": was.ops != now.ops,
        "decisionLog": was.decision_log != now.decision_log,
        "limits": was.limits != now.limits,
        "store": was.store != now.store,
        "signIn": _sign_in_place(was) != _sign_in_place(now),
        "sessions": was.sessions != now.sessions,
        "signals": was.signals != now.signals,
        "drainTimeoutSeconds": was.drain != now.drain,
    }
    return [name for name, differs in fields.items() if differs]


def _sign_in_place(settings: ProxySettings) -> tuple[object, ...]:
    present = settings.sign_in
    if present is None:
        return ()
    return present.address, present.url, present.client_address


def failure_words(since: datetime, mistakes: Sequence[Mistake]) -> str:
    """Say that a reload failed, with the first few reasons."""
    shown = "; ".join(str(mistake) for mistake in mistakes[:_SHOWN_MISTAKES])
    more = len(mistakes) - _SHOWN_MISTAKES
    return (
        f"the last reload failed, what was read at {since:%Y-%m-%dT%H:%M:%SZ} stays in force:"
        f" {shown}" + (f"; and {more} more" if more > 0 else "")
    )

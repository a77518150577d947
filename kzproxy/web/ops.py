"""The listener for operators: health and metrics, on an address of its own, never the API's."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from aiohttp.http_parser import HttpRequestParser, HttpRequestParserPy

from kzproxy.errors.configuration import ConfigurationError, Mistake
from kzproxy.metrics.registry import Metrics

# A check's name and why it does not pass; None where it does.
Readiness = Callable[[], Mapping[str, str | None]]
# What operators should know of a kzproxy that is ready, by name.
Notices = Callable[[], Mapping[str, str]]
Answerer = Callable[[web.Request], Awaitable[web.Response]]
_OK, _UNREADY = 200, 503


class OpsApplication:
    """``/livez``, ``/readyz`` and ``/metrics``."""

    def __init__(
        self,
        metrics: Metrics,
        readiness: Readiness,
        notices: Notices = dict,
        policies: Notices = dict,
    ) -> None:
        self._metrics = metrics
        self._readiness = readiness
        self._notices = notices
        self._policies = policies

    def build(self) -> web.Application:
        """Return the application; it serves no other path."""
        return ops_application(self._readyz, self._expose)

    async def _readyz(self, _: web.Request) -> web.Response:
        checks = self._readiness()
        shown = {name: why or "ok" for name, why in checks.items()} | dict(self._notices())
        ready = all(why is None for why in checks.values())
        return readiness_answer(ready=ready, checks=shown, policies=self._policies())

    async def _expose(self, _: web.Request) -> web.Response:
        return metrics_answer(self._metrics.exposition())


def ops_application(readyz: Answerer, metrics: Answerer) -> web.Application:
    """Make an application of three paths; it is alive where it can say so."""
    application = web.Application(client_max_size=0)
    application.router.add_get("/livez", _livez)
    application.router.add_get("/readyz", readyz)
    application.router.add_get("/metrics", metrics)
    return application


async def _livez(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


def readiness_answer(
    *, ready: bool, checks: Mapping[str, str], policies: Mapping[str, str] | None = None
) -> web.Response:
    """Say whether requests should come, what each check found, and the policies in force."""
    said = {"ready": ready, "checks": dict(checks)}
    if policies:
        said["in_force"] = dict(policies)
    return web.Response(
        status=_OK if ready else _UNREADY,
        text=json.dumps(said, indent=2) + "\n",
        content_type="application/json",
    )


def metrics_answer(exposition: bytes) -> web.Response:
    """Show metrics in the Prometheus text format."""
    return web.Response(
        body=exposition, headers={"Content-Type": "text/plain; version=1.0.0; charset=utf-8"}
    )


def check_parser() -> None:
    """Refuse to run on aiohttp's pure-Python parser, which nearly all its advisories are about.

    Raises:
        ConfigurationError: The C extension is missing or switched off.
    """
    if HttpRequestParser is HttpRequestParserPy:
        raise ConfigurationError(
            [
                Mistake(
                    source="aiohttp",
                    message="its C extension is missing or AIOHTTP_NO_EXTENSIONS is set;"
                    " install a wheel that has it and unset the variable",
                )
            ]
        )


@asynccontextmanager
async def serving(application: web.Application, host: str, port: int) -> AsyncIterator[int]:
    """Serve ``application`` while the body runs; gives the port that was bound.

    Raises:
        OSError: The address cannot be had.
    """
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        await site.start()
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()


@asynccontextmanager
async def serving_privately(application: web.Application, path: Path) -> AsyncIterator[None]:
    """Serve ``application`` on a Unix socket while the body runs."""
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    try:
        await web.UnixSite(runner, path).start()
        yield
    finally:
        await runner.cleanup()

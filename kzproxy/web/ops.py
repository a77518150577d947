"""The listener for operators: health and metrics, on an address of its own, never the API's."""

import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.http_parser import HttpRequestParser, HttpRequestParserPy

from kzproxy.errors.configuration import ConfigurationError, Mistake
from kzproxy.metrics.registry import Metrics

# A check's name and why it does not pass; None where it does.
Readiness = Callable[[], Mapping[str, str | None]]
# What operators should know of a kzproxy that is ready, by name.
Notices = Callable[[], Mapping[str, str]]
_OK, _UNREADY = 200, 503


class OpsApplication:
    """``/livez``, ``/readyz`` and ``/metrics``."""

    def __init__(self, metrics: Metrics, readiness: Readiness, notices: Notices = dict) -> None:
        self._metrics = metrics
        self._readiness = readiness
        self._notices = notices

    def build(self) -> web.Application:
        """Return the application; it serves no other path."""
        application = web.Application(client_max_size=0)
        application.router.add_get("/livez", self._livez)
        application.router.add_get("/readyz", self._readyz)
        application.router.add_get("/metrics", self._expose)
        return application

    async def _livez(self, _: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def _readyz(self, _: web.Request) -> web.Response:
        checks = self._readiness()
        ready = all(why is None for why in checks.values())
        body = {
            "ready": ready,
            "checks": {name: why or "ok" for name, why in checks.items()} | dict(self._notices()),
        }
        return web.Response(
            status=_OK if ready else _UNREADY,
            text=json.dumps(body, indent=2) + "\n",
            content_type="application/json",
        )

    async def _expose(self, _: web.Request) -> web.Response:
        return web.Response(
            body=self._metrics.exposition(),
            headers={"Content-Type": "text/plain; version=1.0.0; charset=utf-8"},
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

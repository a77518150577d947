"""Run kzproxy: start, serve, drain."""

import asyncio
import logging
import signal
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

from kzproxy.audit.decision_log import DecisionLog
from kzproxy.clock.system import Clock
from kzproxy.config.proxy import Address, ProxySettings
from kzproxy.enforcement.alongside import alongside
from kzproxy.errors.configuration import ConfigurationError, Mistake
from kzproxy.metrics.registry import Metrics
from kzproxy.server.build import (
    Parts,
    Services,
    build_api_server,
    build_parts,
    build_point,
    build_services,
)
from kzproxy.server.drain import drain
from kzproxy.server.startup import checked_account
from kzproxy.transport.listener import Listener, listening_socket
from kzproxy.web.ops import OpsApplication, check_parser, serving

log = logging.getLogger(__name__)


async def serve(settings: ProxySettings, clock: Clock, version: str) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Raises:
        ConfigurationError: kzproxy cannot start as it is configured.
    """
    check_parser()
    parts = build_parts(settings, clock)
    stopping = asyncio.Event()
    async with AsyncExitStack() as stack:
        services = build_services(settings, parts, clock, version)
        await stack.enter_async_context(_running(services))
        _on_signals(stopping, services.decisions)
        api_server = build_api_server(parts, services)
        stack.callback(api_server.close)
        account = await _account(settings, parts, services)
        point = build_point(settings, parts, services, api_server, account)
        listener = Listener(
            sock=_socket(settings.listen),
            context=lambda: parts.listener_tls,
            service=point,
            deadlines=services.deadlines,
            metrics=services.metrics,
            limits=settings.limits.connections,
        )
        readiness = _Readiness(services)
        if settings.ops is not None:
            await stack.enter_async_context(_ops(settings.ops, services.metrics, readiness))
        log.info("acting as %s at %s", account, api_server.authority)
        await _serve_until(stopping, listener, readiness, settings.drain, services)


@asynccontextmanager
async def _running(services: Services) -> AsyncIterator[None]:
    """Run what runs beside the requests, and close the log at the end."""
    try:
        async with alongside(
            services.deadlines.run(),
            services.administrator.run(),
            services.authenticator.run(),
        ):
            yield
    finally:
        await services.decisions.close()


async def _account(settings: ProxySettings, parts: Parts, services: Services) -> str:
    """Check kzproxy's account, over a pool that no user's request ever shares."""
    checking = build_api_server(parts, services)
    try:
        return await checked_account(checking, send_uid=settings.send_uid, tell=log.warning)
    finally:
        checking.close()


def _socket(address: Address) -> socket.socket:
    try:
        return listening_socket(address.host, address.port)
    except OSError as error:
        raise _cannot_listen("listen", address, error) from error


@asynccontextmanager
async def _ops(address: Address, metrics: Metrics, readiness: "_Readiness") -> AsyncIterator[None]:
    application = OpsApplication(metrics, readiness.checks).build()
    try:
        context = serving(application, address.host, address.port)
        port = await context.__aenter__()
    except OSError as error:
        raise _cannot_listen("ops", address, error) from error
    log.info("health and metrics on http://%s:%d", address.host, port)
    try:
        yield
    finally:
        await context.__aexit__(None, None, None)


async def _serve_until(
    stopping: asyncio.Event,
    listener: Listener,
    readiness: "_Readiness",
    limit: timedelta,
    services: Services,
) -> None:
    async with asyncio.TaskGroup() as group:
        serving_task = group.create_task(listener.run())
        log.info("serving on https://%s:%d", *listener.address)
        await stopping.wait()
        readiness.draining = True
        log.info("draining for at most %.0f s", limit.total_seconds())
        await drain(listener, services.administrator, serving_task, limit, services.clock)
    log.info("stopped")


class _Readiness:
    """Why this kzproxy should not be sent requests, if so."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self.draining = False

    def checks(self) -> Mapping[str, str | None]:
        return {
            "serving": "draining" if self.draining else None,
            "issuer-keys": self._services.authenticator.ready(),
            "decision-log": self._services.decisions.problem() or None,
        }


def _on_signals(stopping: asyncio.Event, decisions: DecisionLog) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    loop.add_signal_handler(signal.SIGINT, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, decisions.reopen)


def _cannot_listen(field: str, address: Address, error: OSError) -> ConfigurationError:
    message = f"cannot listen on {address.host}:{address.port}: {error.strerror or error}"
    return ConfigurationError([Mistake(source=f"{field}.address", message=message)])

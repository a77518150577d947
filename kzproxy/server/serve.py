"""Run kzproxy: start, serve, drain."""

import asyncio
import gc
import logging
import signal
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING

from kzproxy.audit.decision_log import DecisionLog, DecisionLogSettings
from kzproxy.authentication.oidc import Authenticates, oidc_authenticator
from kzproxy.clock.system import Clock
from kzproxy.config.configured import Configured
from kzproxy.config.proxy import ProxySettings
from kzproxy.server.addresses import listening, ops_listening, ops_listening_privately
from kzproxy.server.drain import drain
from kzproxy.server.generation import Generation, first_generation
from kzproxy.server.in_force import InForce, Running
from kzproxy.server.open_files import raise_open_file_limit
from kzproxy.server.parts import Parts, build_parts
from kzproxy.server.reload import Reloader
from kzproxy.server.services import Services, build_services
from kzproxy.server.startup import awaited_namespaces, checked_account
from kzproxy.server.stopping import unless_stopped
from kzproxy.server.way import build_api_server
from kzproxy.server.worker import Worker
from kzproxy.transport.alongside import alongside
from kzproxy.transport.connection_limits import OpenConnections
from kzproxy.transport.dealing import Dealing
from kzproxy.transport.listener import Listener
from kzproxy.web.ops import OpsDocuments
from kzproxy.web.ops_server import Show

if TYPE_CHECKING:
    from kzproxy.server.signal_receivers import SignalReceivers


log = logging.getLogger(__name__)

# CPython's is 5 ms (sys.getswitchinterval): what requests would wait for, each time that they turn
# to the loop, while a thread reads a policy.
_SWITCH_SECONDS = 0.001


async def serve(
    configured: Configured, clock: Clock, version: str, worker: Worker | None = None
) -> None:
    """Serve until SIGTERM or SIGINT, then drain.

    Raises:
        ConfigurationError: kzproxy cannot start as it is configured.
    """
    raise_open_file_limit()
    if worker is not None:
        worker.end_with_supervisor()
    settings = configured.settings
    parts = build_parts(settings, clock)
    stopping, reloading = asyncio.Event(), asyncio.Event()
    async with AsyncExitStack() as stack:
        services = build_services(settings, parts, clock, version, _own_log(settings, worker))
        _on_signals(stopping, reloading, services.decisions)
        keys = Running[Authenticates](_authenticator(settings, services))
        await stack.enter_async_context(_running(services, keys))
        await stack.enter_async_context(_keeping(services))
        generation = await unless_stopped(stopping, _first(settings, parts, keys.present, services))
        if generation is None:
            log.info("stopped before it served")
            return
        namespaces = Running(generation.namespaces)
        await stack.enter_async_context(alongside(namespaces.run()))
        in_force = InForce(generation, keys, namespaces, services)
        stack.callback(in_force.close)
        reloader = Reloader(
            configured.file, configured.sources, in_force, services, asked=reloading
        )
        await stack.enter_async_context(alongside(reloader.run(), *_confirming(services)))
        listener = _listener(settings, in_force, services, worker)
        readiness = _Readiness(in_force, services)
        ops = OpsDocuments(
            services.metrics,
            readiness.checks,
            lambda: reloader.notices() | in_force.notices(),
            in_force.policies,
        ).by_path()
        await stack.enter_async_context(_for_operators(ops, settings, worker))
        await stack.enter_async_context(_signing_in(services, settings, in_force, worker))
        await _serve_until(stopping, listener, readiness, settings.drain, services)


def _listener(
    settings: ProxySettings, in_force: InForce, services: Services, worker: Worker | None
) -> Listener:
    dealing = None if worker is None else Dealing(worker.directory, worker.number, worker.of)
    return Listener(
        sock=listening(settings.listen, shared=worker is not None),
        context=in_force.context,
        service=in_force,
        deadlines=services.deadlines,
        metrics=services.metrics,
        connections=OpenConnections(settings.limits.connections, in_force.proxies, dealing),
    )


async def _first(
    settings: ProxySettings, parts: Parts, authenticator: Authenticates, services: Services
) -> Generation:
    """Make the first generation, once kube-apiserver has said what must be known before."""
    account = await _account(settings, parts, services)
    generation = first_generation(settings, parts, authenticator, services, account)
    await awaited_namespaces(generation.namespaces, services.clock, log.warning)
    log.info("acting as %s at %s", account, settings.upstream.authority)
    return generation


def _own_log(settings: ProxySettings, worker: Worker | None) -> DecisionLogSettings:
    log_settings = settings.decision_log
    return log_settings if worker is None else worker.decision_log(log_settings)


@asynccontextmanager
async def _for_operators(
    ops: Mapping[str, Show], settings: ProxySettings, worker: Worker | None
) -> AsyncIterator[None]:
    if worker is not None:
        async with ops_listening_privately(worker.ops_socket, ops):
            yield
    elif settings.ops is not None:
        async with ops_listening(settings.ops, ops):
            yield
    else:
        yield


@asynccontextmanager
async def _running(services: Services, keys: Running[Authenticates]) -> AsyncIterator[None]:
    """Run what runs beside the requests, and close the log at the end."""
    try:
        async with alongside(services.deadlines.run(), services.administrator.run(), keys.run()):
            yield
    finally:
        await services.decisions.close()


def _confirming(services: Services) -> Sequence[Coroutine[None, None, None]]:
    """Return what asks identity providers about sessions, if anybody does."""
    return () if services.confirming is None else (services.confirming.run(),)


@asynccontextmanager
async def _keeping(services: Services) -> AsyncIterator[None]:
    """Follow what is kept, if anything is, and close it at the end."""
    kept, sign_in = services.kept, services.sign_in
    if kept is None:
        yield
        return
    try:
        await kept.start()
        if sign_in is not None:
            await sign_in.start()
        works = () if sign_in is None else (sign_in.run(),)
        async with alongside(kept.run(), *works):
            yield
    finally:
        await kept.close()


def _authenticator(settings: ProxySettings, services: Services) -> Authenticates:
    oidc = oidc_authenticator(settings.issuers, services.clock)
    if services.sign_in is None:
        return oidc
    return services.sign_in.authenticator(oidc, settings.issuers)


@asynccontextmanager
async def _signing_in(
    services: Services, settings: ProxySettings, in_force: InForce, worker: Worker | None
) -> AsyncIterator[None]:
    """Serve people who sign in, if they do so here."""
    if settings.sign_in is None:
        yield
        return
    from kzproxy.server.sign_in import serving_sign_in  # for those who sign people in

    def present() -> Generation:
        return in_force.generation

    shared = worker is not None
    receivers = _signal_receivers(services, settings, present)
    routes, works = ((), ()) if receivers is None else (receivers.routes, (receivers.run(),))
    serving = serving_sign_in(services, settings.sign_in, present, shared=shared, further=routes)
    async with alongside(*works), serving:
        log.info("people sign in at %s", settings.sign_in.url)
        yield


def _signal_receivers(
    services: Services, settings: ProxySettings, present: Callable[[], Generation]
) -> "SignalReceivers | None":
    if settings.signals is None or services.kept is None:
        return None
    from kzproxy.server.signal_receivers import signal_receivers  # for those who listen to any

    return signal_receivers(settings.signals, services.kept, services, present)


async def _account(settings: ProxySettings, parts: Parts, services: Services) -> str:
    """Check kzproxy's account, over a pool that no user's request ever shares."""
    checking = build_api_server(parts.account, services)
    try:
        return await checked_account(
            checking, send_uid=settings.send_uid, clock=services.clock, tell=log.warning
        )
    finally:
        checking.close()


async def _serve_until(
    stopping: asyncio.Event,
    listener: Listener,
    readiness: "_Readiness",
    limit: timedelta,
    services: Services,
) -> None:
    async with asyncio.TaskGroup() as group:
        serving_task = group.create_task(listener.run())
        _spare_the_collector()
        log.info("serving on https://%s:%d", *listener.address)
        await stopping.wait()
        readiness.draining = True
        log.info("draining for at most %.0f s", limit.total_seconds())
        if services.confirming is not None:
            services.confirming.reverification.end_within(limit)
        await drain(listener, services.administrator, serving_task, limit, services.clock)
    log.info("stopped")


def _spare_the_collector() -> None:
    """Take what lives as long as the process out of the garbage collector's rounds.

    Those are few as it is: see ``cli.main``. None is made before: it would find some 40 objects to
    free among 56,000, and take 20 ms, in which nobody is answered.
    """
    sys.setswitchinterval(_SWITCH_SECONDS)
    gc.freeze()


class _Readiness:
    """Why this kzproxy should not be sent requests, if so."""

    def __init__(self, in_force: InForce, services: Services) -> None:
        self._in_force = in_force
        self._services = services
        self.draining = False

    def checks(self) -> Mapping[str, str | None]:
        kept = self._services.kept
        return {
            "serving": "draining" if self.draining else None,
            "issuer-keys": self._in_force.generation.authenticator.ready(),
            "decision-log": self._services.decisions.problem() or None,
            **({} if kept is None else {"store": kept.problem()}),
        }


def _on_signals(stopping: asyncio.Event, reloading: asyncio.Event, decisions: DecisionLog) -> None:
    def renew() -> None:
        decisions.reopen()
        reloading.set()

    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stopping.set)
    loop.add_signal_handler(signal.SIGINT, stopping.set)
    loop.add_signal_handler(signal.SIGHUP, renew)
    # It was held back until there is somebody to take it.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})

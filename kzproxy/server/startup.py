"""What must hold before the first client is let in."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from kzproxy.clock.system import Clock
from kzproxy.errors.configuration import ConfigurationError, Mistake
from kzproxy.errors.kinds import ProxyError, ServiceUnavailable, UpstreamTimeout
from kzproxy.server.account_checks import AccountReport, check_account
from kzproxy.upstream.api_server import ApiServer
from kzproxy.upstream.namespaces import NamespaceLabels, NamespacesRefused

# kube-apiserver and kzproxy are often started together.
_PATIENCE_SECONDS = 30.0
_PAUSE_SECONDS = 1.0

_Found = TypeVar("_Found")


async def checked_account(
    api_server: ApiServer, *, send_uid: bool, clock: Clock, tell: Callable[[str], None]
) -> str:
    """Return kzproxy's own name at kube-apiserver, once it is shown to do its job there.

    Waits for kube-apiserver for half a minute, telling so once.

    Raises:
        ConfigurationError: Its account cannot do the job, or can do more than the job.
    """

    async def check() -> AccountReport:
        report = await check_account(api_server, send_uid=send_uid)
        if not report.reached:
            raise ServiceUnavailable(report.problems[0])
        return report

    try:
        report = await _patiently(check, clock, tell)
    except ProxyError as error:
        raise ConfigurationError([Mistake(source="upstream", message=error.message)]) from error
    if report.problems:
        raise ConfigurationError(
            [Mistake(source="upstream", message=problem) for problem in report.problems]
        )
    return report.username


async def awaited_namespaces(
    namespaces: NamespaceLabels | None, clock: Clock, tell: Callable[[str], None]
) -> None:
    """Have the labels of namespaces known before anything is judged by them.

    Waits for kube-apiserver as ``checked_account`` does.

    Raises:
        ConfigurationError: Rules look at them, and they cannot be had.
    """
    if namespaces is not None:
        try:
            await _patiently(namespaces.read, clock, tell)
        except ProxyError as error:
            raise _not_had(error.message) from error


async def read_namespaces(namespaces: NamespaceLabels | None) -> None:
    """Do the same in one try: who reloads tries again by itself.

    Raises:
        ConfigurationError: Rules look at them, and they cannot be had.
    """
    if namespaces is None:
        return
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await namespaces.read()
    except (ProxyError, TimeoutError) as error:
        why = error.message if isinstance(error, ProxyError) else "kube-apiserver is too slow"
        raise _not_had(why) from error


def _not_had(why: str) -> ConfigurationError:
    return ConfigurationError([Mistake(source="policyFiles", message=why)])


async def _patiently(
    attempt: Callable[[], Awaitable[_Found]], clock: Clock, tell: Callable[[str], None]
) -> _Found:
    """Try until it can be done.

    Raises:
        ProxyError: Why it cannot; when time is up, what the last try said.
    """
    ends = clock.monotonic() + _PATIENCE_SECONDS
    known: ProxyError | None = None
    while (left := ends - clock.monotonic()) > 0:
        limit = asyncio.timeout(left)
        try:
            async with limit:
                return await attempt()
        except TimeoutError:
            if limit.expired():
                break
            raise
        except NamespacesRefused:
            raise
        except (ServiceUnavailable, UpstreamTimeout) as error:
            if known is None:
                tell(f"{error.message}; trying for {_PATIENCE_SECONDS:.0f} s")
            known = error
        await asyncio.sleep(_PAUSE_SECONDS)
    raise known or ServiceUnavailable(
        f"cannot reach kube-apiserver: no answer within {_PATIENCE_SECONDS:.0f} s"
    )

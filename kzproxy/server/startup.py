"""What must hold before the first client is let in."""

import asyncio
from collections.abc import Awaitable, Callable

from kzproxy.clock.system import Clock
from kzproxy.errors.configuration import ConfigurationError, Mistake
from kzproxy.errors.kinds import ProxyError
from kzproxy.server.account_checks import AccountReport, check_account
from kzproxy.upstream.api_server import ApiServer
from kzproxy.upstream.namespaces import NamespaceLabels

# kube-apiserver and kzproxy are often started together.
_PATIENCE_SECONDS = 30.0
_PAUSE_SECONDS = 1.0
_SILENCE = AccountReport(
    reached=False,
    problems=(f"cannot reach kube-apiserver: no answer within {_PATIENCE_SECONDS:.0f} s",),
)


async def checked_account(
    api_server: ApiServer, *, send_uid: bool, clock: Clock, tell: Callable[[str], None]
) -> str:
    """Return kzproxy's own name at kube-apiserver, once it is shown to do its job there.

    Waits for kube-apiserver for half a minute, telling so once.

    Raises:
        ConfigurationError: Its account cannot do the job, or can do more than the job.
    """
    report = await _patiently(lambda: check_account(api_server, send_uid=send_uid), clock, tell)
    if report.problems:
        raise ConfigurationError(
            [Mistake(source="upstream", message=problem) for problem in report.problems]
        )
    return report.username


async def read_namespaces(namespaces: NamespaceLabels | None) -> None:
    """Have the labels of namespaces known before anything is judged by them.

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
        raise ConfigurationError([Mistake(source="policyFiles", message=why)]) from error


async def _patiently(
    check: Callable[[], Awaitable[AccountReport]], clock: Clock, tell: Callable[[str], None]
) -> AccountReport:
    """Check until there is an answer; when time is up, the last try's failure is what is known."""
    ends = clock.monotonic() + _PATIENCE_SECONDS
    report = _SILENCE
    while (left := ends - clock.monotonic()) > 0:
        limit = asyncio.timeout(left)
        try:
            async with limit:
                found = await check()
        except TimeoutError:
            if limit.expired():
                break
            raise
        if found.reached:
            return found
        if report is _SILENCE:
            tell(f"{found.problems[0]}; trying for {_PATIENCE_SECONDS:.0f} s")
        report = found
        await asyncio.sleep(_PAUSE_SECONDS)
    return report

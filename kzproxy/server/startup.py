"""What must hold before the first client is let in."""

import asyncio
from collections.abc import Awaitable, Callable

from kzproxy.errors.configuration import ConfigurationError, Mistake
from kzproxy.server.account_checks import AccountReport, check_account
from kzproxy.upstream.api_server import ApiServer

# kube-apiserver and kzproxy are often started together.
_PATIENCE_SECONDS = 30.0
_PAUSE_SECONDS = 1.0


async def checked_account(
    api_server: ApiServer, *, send_uid: bool, tell: Callable[[str], None]
) -> str:
    """Return kzproxy's own name at kube-apiserver, once it is shown to do its job there.

    Waits for kube-apiserver for half a minute, telling so once.

    Raises:
        ConfigurationError: Its account cannot do the job, or can do more than the job.
    """
    report = await _patiently(lambda: check_account(api_server, send_uid=send_uid), tell)
    if report.problems:
        raise ConfigurationError(
            [Mistake(source="upstream", message=problem) for problem in report.problems]
        )
    return report.username


async def _patiently(
    check: Callable[[], Awaitable[AccountReport]], tell: Callable[[str], None]
) -> AccountReport:
    report = await check()
    for attempt in range(int(_PATIENCE_SECONDS / _PAUSE_SECONDS)):
        if report.reached:
            return report
        if attempt == 0:
            tell(f"{report.problems[0]}; trying for {_PATIENCE_SECONDS:.0f} s")
        await asyncio.sleep(_PAUSE_SECONDS)
        report = await check()
    return report

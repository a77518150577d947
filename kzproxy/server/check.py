"""Check a configuration as far as can be without serving."""

from kzproxy.clock.system import Clock
from kzproxy.config.proxy import ProxySettings
from kzproxy.errors.configuration import ConfigurationError, Mistake
from kzproxy.metrics.registry import Metrics
from kzproxy.server.account_checks import check_account
from kzproxy.server.parts import build_parts
from kzproxy.transport.alongside import alongside
from kzproxy.transport.deadlines import Deadlines
from kzproxy.upstream.api_server import ApiServer


async def check(settings: ProxySettings, clock: Clock, *, offline: bool) -> str:
    """Return kzproxy's name at kube-apiserver; empty where ``offline``.

    Raises:
        ConfigurationError: kzproxy could not serve with these settings.
    """
    parts = build_parts(settings, clock)
    if offline:
        return ""
    deadlines = Deadlines(clock)
    api_server = ApiServer(parts.account, deadlines, Metrics(version=""))
    async with alongside(deadlines.run()):
        report = await check_account(api_server, send_uid=settings.send_uid)
        api_server.close()
    if report.problems:
        raise ConfigurationError(
            [Mistake(source="upstream", message=problem) for problem in report.problems]
        )
    return report.username

"""``kzproxy serve``."""

import asyncio
import logging
import sys
from importlib.metadata import version
from pathlib import Path

import click

from kzproxy.clock.system import SystemClock
from kzproxy.server.serve import serve

_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


@click.command(name="serve")
@click.option(
    "--config",
    "config_file",
    required=True,
    type=click.Path(path_type=Path),
    help="The ProxyConfiguration; relative paths in it are relative to it.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="Of the diagnostic log on standard error; the decision log is always whole.",
)
def command(config_file: Path, log_level: str) -> None:
    """Run the proxy until SIGTERM.

    SIGTERM and SIGINT drain: no new connections, watches end one by one, the rest may finish within
    drainTimeoutSeconds. Certificates, policy, authentication and kzproxy's own credential are read
    again when their files change, or on SIGHUP, which also opens the decision log anew.
    """
    logging.basicConfig(level=log_level.upper(), format=_FORMAT, stream=sys.stderr)
    # httpx logs every request at info; key refreshes are not news.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    asyncio.run(serve(config_file, SystemClock(), version("kzproxy")))

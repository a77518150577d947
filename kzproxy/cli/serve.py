"""``kzproxy serve``."""

import asyncio
import logging
import signal
from pathlib import Path

import click

from kzproxy import __version__
from kzproxy.cli.diagnostics import log_to_standard_error
from kzproxy.clock.system import SystemClock
from kzproxy.config.configured import Configured
from kzproxy.server.diagnostic_log import SHOW_STACKS, show_stacks_on
from kzproxy.server.worker import Worker
from kzproxy.transport.readiness import new_event_loop

log = logging.getLogger(__name__)

_MAX_WORKERS = 64


@click.command(name="serve")
@click.option(
    "--config",
    "config_file",
    required=True,
    type=click.Path(path_type=Path),
    help="The ProxyConfiguration; relative paths in it are relative to it.",
)
@click.option(
    "--workers",
    "count",
    type=click.IntRange(1, _MAX_WORKERS),
    default=1,
    show_default=True,
    help="How many processes share the address; one for each core is enough.",
)
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default="info",
    show_default=True,
    help="Of the diagnostic log on standard error; the decision log is always whole.",
)
@click.option("--worker", "number", type=int, hidden=True, help="Which worker this is.")
@click.option(
    "--supervisor",
    type=(int, click.Path(path_type=Path)),
    hidden=True,
    help="The process that started this worker, and the directory that it shares with it.",
)
def command(
    config_file: Path,
    count: int,
    log_level: str,
    number: int | None,
    supervisor: tuple[int, Path] | None,
) -> None:
    """Run the proxy until SIGTERM.

    SIGTERM and SIGINT drain: no new connections, watches end one by one, the rest may finish within
    drainTimeoutSeconds. Certificates, policy, authentication and kzproxy's own credential are read
    again when their files change, or on SIGHUP, which also opens the decision log anew. SIGUSR1
    writes where each thread is to standard error.
    """
    # Held back until somebody takes it, for its first effect is to kill: who renews a certificate
    # does not ask whether the policy has been read yet.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGHUP})
    worker = None
    if number is not None and supervisor is not None:
        pid, directory = supervisor
        worker = Worker(number=number, of=count, supervisor_pid=pid, directory=directory)
    log_to_standard_error(log_level, worker)
    show_stacks_on(SHOW_STACKS)
    clock = SystemClock()
    if worker is not None or count == 1:
        configured = Configured.read(config_file)
        # Here: what reading takes for a moment, as much as a policy has text many times over, is
        # free again for what serves, and would otherwise be left behind for good.
        from kzproxy.server.serve import serve

        try:
            with asyncio.Runner(loop_factory=new_event_loop) as runner:
                runner.run(serve(configured, clock, __version__, worker))
        except OSError:
            # What can go wrong with files and sockets is seen to; of a bug the place matters.
            log.exception("bug: kzproxy ends")
            raise SystemExit(1) from None
    else:
        from kzproxy.server.supervise import supervise  # here: a worker does without it

        running = supervise(config_file, clock, count=count, log_level=log_level)
        raise SystemExit(asyncio.run(running))

"""Run kzproxy as several workers and what keeps them."""

import asyncio
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

from kzproxy.clock.system import Clock
from kzproxy.config.proxy import ProxySettings, load_proxy_settings
from kzproxy.errors.configuration import ConfigurationError, Mistake
from kzproxy.metrics.registry import SupervisorMetrics
from kzproxy.server.addresses import listening, ops_listening, private_socket
from kzproxy.server.liveness import Liveness, LivenessTimes
from kzproxy.server.open_files import raise_open_file_limit
from kzproxy.server.parts import build_parts
from kzproxy.server.supervisor import Supervisor
from kzproxy.server.worker import Worker
from kzproxy.web.workers_ops import WorkersOps

log = logging.getLogger(__name__)


async def supervise(config_file: Path, clock: Clock, *, count: int, log_level: str) -> int:
    """Serve with ``count`` workers until SIGTERM or SIGINT; return the exit code.

    Raises:
        ConfigurationError: kzproxy cannot start as it is configured.
    """
    raise_open_file_limit()
    settings = load_proxy_settings(config_file)
    build_parts(settings, clock)  # what is wrong is said once, and not by every worker
    _check_for_several(settings)
    with _private_directory() as directory:
        workers = [
            Worker(number=number, of=count, supervisor_pid=os.getpid(), directory=Path(directory))
            for number in range(1, count + 1)
        ]
        _check_place(workers[-1])  # whose name is the longest
        metrics = SupervisorMetrics()
        command = _command(config_file, log_level)
        liveness = Liveness(LivenessTimes())
        supervisor = Supervisor(workers, command, clock, metrics, liveness)
        async with AsyncExitStack() as stack:
            if settings.ops is not None:
                ops = WorkersOps(supervisor, supervisor.summed, metrics.exposition)
                await stack.enter_async_context(ops_listening(settings.ops, ops.by_path()))
            _on_signals(supervisor)
            await supervisor.run(settings.drain)
    log.info("all workers have ended")
    return supervisor.exit_code


def _check_for_several(settings: ProxySettings) -> None:
    if settings.listen.port == 0:
        raise _mistake("listen.address", "several workers need a port that is named")
    if settings.decision_log.file is None:
        raise _mistake(
            "decisionLog",
            "several workers need file: each writes one of its own, and lines of standard output"
            " alone cannot be told to be whole",
        )
    # SO_REUSEPORT would share the port in silence with another kzproxy that has set it, too.
    listening(settings.listen).close()
    if settings.sign_in is not None:
        listening(settings.sign_in.address, field="signIn").close()


def _private_directory() -> "tempfile.TemporaryDirectory[str]":
    try:
        return tempfile.TemporaryDirectory(prefix="kzproxy-")  # mode 0700
    except OSError as error:
        raise _mistake(
            "TMPDIR", f"several workers need a directory for temporary files: {error.strerror}"
        ) from error


def _check_place(worker: Worker) -> None:
    try:
        private_socket(worker.ops_socket).close()
    except OSError as error:
        raise _mistake(
            "TMPDIR", f"workers cannot answer in {worker.directory}: {error.strerror or error}"
        ) from error


def _command(config_file: Path, log_level: str) -> Callable[[Worker], Sequence[str]]:
    def command(worker: Worker) -> Sequence[str]:
        return [
            *(sys.executable, "-P", "-m", "kzproxy", "serve"),
            *("--config", str(config_file), "--log-level", log_level),
            *("--worker", str(worker.number), "--workers", str(worker.of)),
            *("--supervisor", str(worker.supervisor_pid), str(worker.directory)),
        ]

    return command


def _on_signals(supervisor: Supervisor) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, supervisor.stop)
    loop.add_signal_handler(signal.SIGINT, supervisor.stop)
    loop.add_signal_handler(signal.SIGHUP, supervisor.signal, signal.SIGHUP)
    # It was held back until there is somebody to take it.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})


def _mistake(source: str, message: str) -> ConfigurationError:
    return ConfigurationError([Mistake(source=source, message=message)])

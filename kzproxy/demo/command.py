"""Run somebody's command as one of the demo's users."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from kzproxy.demo.directory import DemoDirectory, RunningDemo
from kzproxy.demo.failure import DemoFailure
from kzproxy.demo.kubeconfigs import plugin_call
from kzproxy.demo.signals import Signals

_SIGN_IN_SECONDS = 60.0
_MAX_SHOWN_CHARACTERS = 2000
# As shells say it.
_NOT_FOUND = 127
_NOT_EXECUTABLE = 126
_KILLED = 128


async def sign_in(directory: DemoDirectory, user: str) -> None:
    """Sign ``user`` in as kubectl would, but for the browser; a sign-in that holds is kept.

    Raises:
        DemoFailure: It did not come about.
    """
    call = plugin_call(directory.scripted_kubeconfig(user), user)
    process = await asyncio.create_subprocess_exec(
        *call.command,
        env={**os.environ, **call.variables},
        stdin=asyncio.subprocess.DEVNULL,
        # What it prints is a token.
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(_SIGN_IN_SECONDS):
            _, said = await process.communicate()
    except TimeoutError:
        raise DemoFailure(f"signing in as {user} took too long") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        reason = said.decode(errors="replace").strip()[-_MAX_SHOWN_CHARACTERS:]
        raise DemoFailure(f"signing in as {user} failed: {reason}")


async def run_command(
    command: Sequence[str], environment: Mapping[str, str], signals: Signals
) -> int:
    """Run ``command`` with our stdin, stdout and stderr; return its exit code.

    Ctrl-C reaches it from the terminal, and SIGTERM is passed on; how it ends is for it to say.

    Raises:
        CommandNotRun: It could not be started.
    """
    try:
        process = await asyncio.create_subprocess_exec(*command, env=environment)
    except FileNotFoundError:
        raise CommandNotRun(f"{command[0]}: command not found", code=_NOT_FOUND) from None
    except PermissionError:
        raise CommandNotRun(f"{command[0]}: cannot be run", code=_NOT_EXECUTABLE) from None
    with signals.left_to(process):
        code = await process.wait()
    return code if code >= 0 else _KILLED - code


class CommandNotRun(DemoFailure):
    """The command could not be started; ``code`` is what a shell would exit with."""

    def __init__(self, message: str, *, code: int) -> None:
        super().__init__(message)
        self.code = code


def command_environment(
    directory: DemoDirectory, running: RunningDemo, user: str, environment: Mapping[str, str]
) -> dict[str, str]:
    """Return ``environment`` with the demo's kubeconfig, and its kubectl first on ``PATH``."""
    path = os.pathsep.join([str(_links(directory, running)), environment.get("PATH", os.defpath)])
    kubeconfig = directory.scripted_kubeconfig(user)
    return {**environment, "KUBECONFIG": str(kubeconfig), "PATH": path}


def _links(directory: DemoDirectory, running: RunningDemo) -> Path:
    """Return a directory with this demo's kubectl alone: beside the real one lies an etcd."""
    links = directory.root / "bin"
    links.mkdir(exist_ok=True)
    link, kubectl = links / "kubectl", Path(running.kubectl)
    if not (link.is_symlink() and link.readlink() == kubectl):
        unfinished = links / f".kubectl.{os.getpid()}"
        unfinished.symlink_to(kubectl)
        unfinished.replace(link)
    return links

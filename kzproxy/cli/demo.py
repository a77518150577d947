"""``kzproxy demo``."""

import asyncio
import os
import sys
from pathlib import Path

import click
from rich.console import Console

from kzproxy.clock.system import SystemClock
from kzproxy.demo.cluster import OtherCluster
from kzproxy.demo.command import CommandNotRun
from kzproxy.demo.component import ControlPlaneError
from kzproxy.demo.directory import DemoDirectory, default_directory
from kzproxy.demo.failure import DemoFailure
from kzproxy.demo.idp_users import DEMO_USERS
from kzproxy.demo.progress import Progress
from kzproxy.demo.session import DemoSession
from kzproxy.demo.signals import Signals

_USERS = [user.name for user in DEMO_USERS]
_FAILED = 1
# As shells say of a command that a signal ended.
_SIGNALLED = 128


@click.command(
    name="demo", context_settings={"allow_interspersed_args": False}, no_args_is_help=False
)
@click.option(
    "--dir",
    "directory",
    type=click.Path(path_type=Path, file_okay=False),
    help="Where its files go; by default ~/.local/state/kzproxy/demo.",
)
@click.option("--as", "user", type=click.Choice(_USERS), help="Whom COMMAND runs as [developer].")
@click.option(
    "--kubeconfig",
    type=click.Path(path_type=Path),
    help="Use another cluster instead of starting one; never the ambient one. With --context.",
)
@click.option("--context", help="The context of --kubeconfig: an administrator's.")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND ...]")
def command(
    directory: Path | None,
    user: str | None,
    kubeconfig: Path | None,
    context: str | None,
    command: tuple[str, ...],
) -> None:
    """Run everything on this machine, to try it out.

    Starts a Kubernetes control plane, a demo identity provider without passwords, and kzproxy with
    a sample policy between them; prints what to try, and shows decisions until Ctrl-C.

    With COMMAND it signs a user in by the real flow, but without a browser, runs COMMAND with
    KUBECONFIG set, and exits with its code. A demo that runs in the same directory is used.
    """
    if bool(kubeconfig) != bool(context):
        raise click.UsageError("--kubeconfig and --context go together: name both or neither")
    if user and not command:
        raise click.UsageError("--as USER needs a command: kzproxy demo --as USER -- COMMAND ...")
    other = OtherCluster(kubeconfig=kubeconfig, context=context) if kubeconfig and context else None
    try:
        place = DemoDirectory((directory or default_directory(os.environ)).absolute())
        code = asyncio.run(_run(place, other, command, user or _USERS[0]))
    except CommandNotRun as failure:
        _complain(failure)
        code = failure.code
    except (DemoFailure, ControlPlaneError) as failure:
        _complain(failure)
        code = _FAILED
    sys.exit(code)


async def _run(
    directory: DemoDirectory, other: OtherCluster | None, command: tuple[str, ...], user: str
) -> int:
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - this runs in one
    with Signals(task) as signals:
        session = DemoSession(
            directory=directory,
            other=other,
            clock=SystemClock(),
            output=Console(),
            progress=Progress(Console(stderr=True), quiet=bool(command)),
            signals=signals,
        )
        try:
            if command:
                return await session.around(command, user)
            await session.in_foreground()
        except asyncio.CancelledError:
            if signals.received is None:
                raise
        # Ended as a person ends it; a command that was not run to its end is another matter.
        return _SIGNALLED + signals.received if command and signals.received else 0


def _complain(failure: Exception) -> None:
    click.echo(f"kzproxy demo: {failure}", err=True)

"""``kzproxy device``: this machine as a device, and for administrators everybody's."""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote, urlencode

import click
from click.shell_completion import CompletionItem

from kzproxy.cli.chosen_sign_in import context_options
from kzproxy.cli.device_enroll import enroll, status
from kzproxy.cli.device_posture import command as posture
from kzproxy.cli.device_report import device_lines, moment, print_devices
from kzproxy.cli.duration import Duration
from kzproxy.cli.own_endpoint import ask_own_endpoint, completing_answer
from kzproxy.client.failure import ClientFailure
from kzproxy.client.notices import visible
from kzproxy.client.proxy_server import Document, NotThere

_Function = TypeVar("_Function", bound=Callable[..., None])

_DAY_SECONDS = 24 * 3600

_output = click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)
_yes = click.option("--yes", is_flag=True, help="Do not ask whether you are sure.")


def _known_devices(
    given: click.Context, _: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete a device's id, for whom policy shows them and who is signed in already."""
    context, kubeconfig = given.params.get("context") or "", given.params.get("kubeconfig")
    try:
        answer = completing_answer("devices", context, kubeconfig, timeout_seconds=2)
    except ClientFailure:
        return []
    return [
        CompletionItem(str(one.get("id")), help=visible(f"{one.get('user')} {one.get('name')}"))
        for one in _documents(answer)
        if str(one.get("id")).startswith(incomplete)
    ]


@click.group(name="device")
def command() -> None:
    """Enroll this machine as a device; administer devices.

    Everybody may enroll and see their own; list, show and what follows it are for those whom policy
    permits /kzproxy.dev/v1/devices and what is below it.
    """


command.add_command(enroll)
command.add_command(status)
command.add_command(posture)


def _for_administrators(function: _Function) -> _Function:
    return _output(context_options(function))


@command.command(name="list")
@click.option("--user", default="", help="Only those of this user, as the cluster knows them.")
@click.option(
    "--state", type=click.Choice(["pending", "approved", "blocked"]), help="Only those in it."
)
@_for_administrators
def list_devices(
    user: str, state: str | None, output: str, context: str, kubeconfig: Path | None
) -> None:
    """List devices, the one that was enrolled last first."""
    query = {name: value for name, value in (("user", user), ("state", state)) if value}
    path = f"devices?{urlencode(query, quote_via=quote)}" if query else "devices"
    answer = _asked("GET", path, context, kubeconfig)
    if output == "json":
        click.echo(json.dumps(answer, indent=2))
        return
    devices = _documents(answer)
    if not devices:
        click.echo("There is no such device." if query else "No device is enrolled.")
        return
    print_devices(devices)


@command.command(name="show")
@click.argument("device_id", metavar="DEVICE", shell_complete=_known_devices)
@_for_administrators
def show(device_id: str, output: str, context: str, kubeconfig: Path | None) -> None:
    """Show all of one device."""
    _told(_asked("GET", _path(device_id), context, kubeconfig), output)


@command.command(name="approve")
@click.argument("device_id", metavar="DEVICE", shell_complete=_known_devices)
@_for_administrators
def approve(device_id: str, output: str, context: str, kubeconfig: Path | None) -> None:
    """Let an enrolled machine count as a device, and confirm its serial number.

    Look at it first with `kzproxy device show`: whose it is, and whether another device has given
    the same serial number before. Posture providers are asked by a serial number that was confirmed
    so, and by no other; so approve what a token or policy has approved, too, where they count.
    """
    _told(_changed(device_id, "approve", {}, context, kubeconfig), output)


@command.command(name="block")
@click.argument("device_id", metavar="DEVICE", shell_complete=_known_devices)
@click.option("--reason", default="", help="For its user, who is told when they come back.")
@_for_administrators
def block(device_id: str, reason: str, output: str, context: str, kubeconfig: Path | None) -> None:
    """Keep a device out, and end what runs on it.

    It ends at once, and nothing more is served to that device until it is unblocked.
    """
    body: Document = {"reason": reason} if reason else {}
    _told(_changed(device_id, "block", body, context, kubeconfig), output)


@command.command(name="unblock")
@click.argument("device_id", metavar="DEVICE", shell_complete=_known_devices)
@_for_administrators
def unblock(device_id: str, output: str, context: str, kubeconfig: Path | None) -> None:
    """Take a block back.

    The device is what it was before: approved, or pending. Its user signs in again.
    """
    _told(_changed(device_id, "unblock", {}, context, kubeconfig), output)


@command.command(name="forget")
@click.argument("device_id", metavar="DEVICE", shell_complete=_known_devices)
@_yes
@_for_administrators
def forget(
    device_id: str, output: str, context: str, kubeconfig: Path | None, *, yes: bool
) -> None:
    """Take a device out of the registry.

    Its sessions end, and so does what policy permits to devices alone. Its machine can be enrolled
    again: to keep it out, block it.
    """
    ask = partial(_asked, context=context, kubeconfig=kubeconfig)
    if not yes:
        for line in device_lines(ask("GET", _path(device_id))):
            click.echo(line, err=True)
        click.confirm("Forget this device?", abort=True, err=True)
    answer = ask("DELETE", _path(device_id))
    if output == "json":
        click.echo(json.dumps(answer, indent=2))
        return
    click.echo(visible(f"forgot {answer.get('id')}"))


@command.command(name="token")
@click.option("--user", default="", help="The only one who may use it, as the cluster knows them.")
@click.option(
    "--for",
    "seconds",
    type=Duration(),
    default=_DAY_SECONDS,
    help="How long it is good, such as 2h; at most 30d, a day by default.",
)
@_for_administrators
def token(user: str, seconds: int, output: str, context: str, kubeconfig: Path | None) -> None:
    """Make a one-time token for enrolment.

    It has one machine enrolled and approved, whoever uses it: give it to its user by a safe way.
    It is shown this once.
    """
    body: Document = {"seconds": seconds} | ({"forUser": user} if user else {})
    answer = _asked("POST", "devices/tokens", context, kubeconfig, body)
    if output == "json":
        click.echo(json.dumps(answer, indent=2))
        return
    click.echo(visible(str(answer.get("token"))))
    click.echo(visible(f"good until {moment(answer.get('expiresAt'))}, once"), err=True)


def _asked(
    method: str, path: str, context: str, kubeconfig: Path | None, body: Document | None = None
) -> Document:
    try:
        return ask_own_endpoint(method, path, context, kubeconfig, body)
    except NotThere as failure:
        raise ClientFailure(failure.said or str(failure)) from None


def _changed(
    device_id: str, action: str, body: Document, context: str, kubeconfig: Path | None
) -> Document:
    return _asked("POST", f"{_path(device_id)}/{action}", context, kubeconfig, body)


def _path(device_id: str) -> str:
    return f"devices/{quote(device_id, safe='')}"


def _told(device: Document, output: str) -> None:
    if output == "json":
        click.echo(json.dumps(device, indent=2))
        return
    for line in device_lines(device):
        click.echo(line)


def _documents(answer: Document) -> list[Document]:
    found = answer.get("devices")
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []

"""``kzproxy device enroll`` and ``kzproxy device status``: this machine."""

import contextlib
import json
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from kzproxy.cli.chosen_sign_in import at_terminal, context_options
from kzproxy.cli.device_report import device_lines, moment
from kzproxy.cli.duration import Duration
from kzproxy.cli.own_endpoint import ask_own_endpoint
from kzproxy.client.failure import ClientFailure
from kzproxy.client.kubeconfig import context_settings
from kzproxy.client.kubeconfig_files import KubeconfigFiles, kubeconfig_paths
from kzproxy.client.notices import visible
from kzproxy.client.proxy_server import Document
from kzproxy.client.token_cache import TokenCache, cache_directory
from kzproxy.clock.system import SystemClock

if TYPE_CHECKING:
    from kzproxy.client.device_enrolment import EnrolledDevice
    from kzproxy.client.enrolling import Enrolling

_POLL_SECONDS = 5.0
_STANDARD_INPUT = "-"
_MAX_TOKEN = 4096
_ENVIRONMENT = "KZPROXY_ENROLMENT_TOKEN"
_BY = {
    "admin": "an administrator approved it",
    "token": "the one-time token approved it",
    "policy": "policy approved it",
}
_output = click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)
_EPILOG = f"""\b
Examples:
  kzproxy device enroll                        signs you in first, where you are not
  kzproxy device enroll --wait                 waits until an administrator has approved it
  {_ENVIRONMENT}=kze_... kzproxy device enroll

\b
Exits 0 where this machine is enrolled, 1 where it is not or awaits approval.
"""


@click.command(name="enroll", epilog=_EPILOG)
@click.option("--name", default="", help="What to call this machine; default: its host name.")
@click.option("--serial", default="", help="Its serial number; default: as the machine says.")
@click.option(
    "--token",
    envvar=_ENVIRONMENT,
    default="",
    metavar="TOKEN",
    show_envvar=True,
    help="A one-time token of your administrator; - reads it from standard input.",
)
@click.option("--wait", is_flag=True, help="Wait until an administrator has approved it.")
@click.option(
    "--wait-for",
    "seconds",
    type=Duration(),
    default=3600,
    help="How long --wait waits, such as 30m; an hour by default.",
)
@_output
@context_options
def enroll(
    name: str,
    serial: str,
    token: str,
    seconds: int,
    output: str,
    context: str,
    kubeconfig: Path | None,
    *,
    wait: bool,
) -> None:
    """Enroll this machine as a device.

    Where it is one already, its certificate is renewed. The machine's key is made here and stays
    here. Until the device is approved this command tells its id, which an administrator needs.
    """
    from kzproxy.client.this_machine import this_machine

    with _enrolling(context, kubeconfig) as enrolling:
        one_time = _token_on_standard_input() if token == _STANDARD_INPUT else token
        device = enrolling.enrol(this_machine(name, serial), one_time)
        if wait and not device.is_approved:
            device = _waited_for(enrolling, device, seconds)
        in_use = enrolling.taken_into_use() if device.is_approved else False
    if output == "json":
        click.echo(json.dumps(_as_json(device), indent=2))
    else:
        _say(device, in_use=in_use)
    if not device.is_approved:
        raise SystemExit(1)


@click.command(name="status")
@_output
@context_options
def status(output: str, context: str, kubeconfig: Path | None) -> None:
    """Show whether this machine is a device.

    Your other devices are shown too. Exits 0 where this machine counts as one, else 1.
    """
    answer = ask_own_endpoint("GET", "device", context, kubeconfig)
    found = answer.get("presented")
    presented = found if isinstance(found, dict) else {}
    if output == "json":
        click.echo(json.dumps(answer, indent=2))
    else:
        for line in _status_lines(presented, answer):
            click.echo(line)
    if presented.get("enrolled") != "passed":
        raise SystemExit(1)


def _status_lines(presented: Document, answer: Document) -> Iterator[str]:
    if presented.get("enrolled") == "passed":
        yield visible(f"This machine is device {presented.get('id')}.")
        if presented.get("managed") == "passed":
            yield "  It is managed."
        yield visible(f"  its certificate holds until {moment(presented.get('expiresAt'))}")
    elif presented.get("state"):
        reason = str(presented.get("reason"))
        yield visible(f"{reason[:1].upper()}{reason[1:]}.")
    else:
        yield visible(f"This machine is no device: {presented.get('reason')}.")
    devices = answer.get("devices")
    theirs = [one for one in devices if isinstance(one, dict)] if isinstance(devices, list) else []
    if theirs:
        yield ""
        yield "Your devices:"
    for one in theirs:
        yield from device_lines(one)


def _token_on_standard_input() -> str:
    token = sys.stdin.readline(_MAX_TOKEN).strip() if sys.stdin is not None else ""
    if not token:  # the user meant one: this is no time to sign in instead
        raise ClientFailure("there is no token on standard input")
    return token


@contextmanager
def _enrolling(context: str, kubeconfig: Path | None) -> Iterator["Enrolling"]:
    from kzproxy.client.enrolling import Enrolling

    paths = (kubeconfig,) if kubeconfig else kubeconfig_paths(os.environ)
    settings = context_settings(KubeconfigFiles(paths), context)
    cache = TokenCache(cache_directory(os.environ))
    clock, interactive = SystemClock(), at_terminal()
    with Enrolling(settings, cache, os.environ, clock, interactive=interactive) as enrolling:
        yield enrolling


def _waited_for(enrolling: "Enrolling", device: "EnrolledDevice", seconds: int) -> "EnrolledDevice":
    """Ask again and again whether the device is approved."""
    from kzproxy.client.issuer_http import IssuerUnreachable

    clock = SystemClock()
    deadline = clock.monotonic() + seconds
    with _progress(f"waiting until device {device.device_id} is approved") as remaining:
        while not device.is_approved:
            left = deadline - clock.monotonic()
            if left <= 0:
                raise ClientFailure(
                    f"device {device.device_id} is not approved yet; have an administrator run"
                    f" `kzproxy device approve {device.device_id}`"
                )
            remaining(left)
            time.sleep(min(_POLL_SECONDS, left))
            with contextlib.suppress(IssuerUnreachable):  # it may be back before the end
                device = enrolling.asked_again()
    return device


@contextmanager
def _progress(what: str) -> Iterator[Callable[[float], None]]:
    """Show on standard error what is being waited for; in a log that is one line."""
    if not sys.stderr.isatty():
        click.echo(f"kzproxy: {what}", err=True)
        yield lambda _: None
        return
    from rich.console import Console

    with Console(stderr=True, highlight=False, markup=False).status(what) as shown:
        yield lambda left: shown.update(f"{what} ({int(left) // 60} min left)")


def _say(device: "EnrolledDevice", *, in_use: bool) -> None:
    if not device.is_approved:
        click.echo(visible(f"This machine is enrolled as device {device.device_id}."))
        click.echo("  It awaits approval; an administrator runs:")
        click.echo(visible(f"    kzproxy device approve {device.device_id}"))
        click.echo("  Then run `kzproxy device enroll` again; --wait waits for it.")
        return
    how = _BY.get(device.how, "it is approved")
    click.echo(visible(f"This machine is device {device.device_id}: {how}."))
    if in_use:
        ends = moment(_ends_at(device))
        click.echo(visible(f"  its certificate holds until {ends}, and is renewed by itself"))
    else:
        click.echo("  Sign in with `kzproxy login`, and it counts.")


def _as_json(device: "EnrolledDevice") -> Document:
    return {
        "id": device.device_id,
        "state": device.state,
        "how": device.how,
        "certificateEndsAt": _ends_at(device),
    }


def _ends_at(device: "EnrolledDevice") -> str:
    return "" if device.ends_at is None else device.ends_at.isoformat()

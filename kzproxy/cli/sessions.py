"""``kzproxy sessions``: for administrators, what sessions there are, and their end."""

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from urllib.parse import quote, urlencode

import click

from kzproxy.cli.chosen_sign_in import context_options
from kzproxy.cli.own_endpoint import ask_own_endpoint
from kzproxy.cli.table import table_lines
from kzproxy.client.failure import ClientFailure
from kzproxy.client.notices import visible
from kzproxy.client.proxy_server import Document

_WHEN = "%Y-%m-%d %H:%M:%S"
_output = click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)


@click.group(name="sessions")
def command() -> None:
    """Show and end sessions that kzproxy keeps.

    For those whom policy permits /kzproxy.dev/v1/sessions and what is below it.
    """


@command.command(name="list")
@click.option("--user", default="", help="Only those of this user, as the cluster knows them.")
@click.option("--device", default="", help="Only those on this device.")
@click.option("--ended", is_flag=True, help="Those of the last day too that have ended.")
@_output
@context_options
def list_sessions(
    user: str, device: str, output: str, context: str, kubeconfig: Path | None, *, ended: bool
) -> None:
    """List the sessions that hold, the youngest first."""
    query = {"user": user, "device": device, "ended": "true" if ended else ""}
    answer = _ask("GET", _path("", query), context, kubeconfig)
    if output == "json":
        click.echo(json.dumps(answer, indent=2))
        return
    shown = _documents(answer, "sessions")
    if not shown:
        click.echo("No session holds." if not ended else "There is no session.")
        return
    print_sessions(shown)


@command.command(name="show")
@click.argument("session_id")
@_output
@context_options
def show(session_id: str, output: str, context: str, kubeconfig: Path | None) -> None:
    """Show all of one session."""
    answer = _ask("GET", _path(session_id, {}), context, kubeconfig)
    if output == "json":
        click.echo(json.dumps(answer, indent=2))
        return
    for name, value in answer.items():
        text = ", ".join(str(one) for one in value) if isinstance(value, list) else str(value)
        click.echo(visible(f"{name:<16} {_moment(text)}"))


@command.command(name="revoke")
@click.argument("session_id", required=False, default="")
@click.option("--user", default="", help="All sessions of this user.")
@click.option("--device", default="", help="All sessions on this device.")
@click.option("--message", default="", help="For the user, who is told when they come back.")
@click.option("--yes", is_flag=True, help="Do not ask before several sessions are ended.")
@_output
@context_options
def revoke(
    session_id: str,
    user: str,
    device: str,
    message: str,
    output: str,
    context: str,
    kubeconfig: Path | None,
    *,
    yes: bool,
) -> None:
    """End a session, or all of a user or of a device; what runs in them ends at once.

    With --user alone, a sign-in that the user has begun but not finished gives no session either.
    The user can sign in again: to keep somebody out, disable them at the identity provider, and
    block the device with `kzproxy device block`.
    """
    if bool(session_id) is bool(user or device):
        raise click.UsageError("give a session's id, or --user or --device")
    if not session_id and not yes:
        click.confirm(f"End all sessions of {user or device}?", abort=True, err=True)
    query = {"user": user, "device": device, "message": message}
    answer = _ask("DELETE", _path(session_id, query), context, kubeconfig)
    if output == "json":
        click.echo(json.dumps(answer, indent=2))
        return
    ended = answer.get("ended")
    for one in ended if isinstance(ended, list) else []:
        click.echo(f"ended {visible(str(one))}")
    if not ended:
        signing_in = f"; what {user} has begun to sign in is refused" if user and not device else ""
        raise ClientFailure(f"no session was ended: there was none to end{signing_in}")


def _path(session_id: str, query: dict[str, str]) -> str:
    given = {name: value for name, value in query.items() if value}
    path = f"sessions/{quote(session_id, safe='')}" if session_id else "sessions"
    return f"{path}?{urlencode(given, quote_via=quote)}" if given else path


def _ask(method: str, path: str, context: str, kubeconfig: Path | None) -> Document:
    return ask_own_endpoint(method, path, context, kubeconfig)


def _documents(answer: Document, name: str) -> list[Document]:
    found = answer.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def print_sessions(sessions: Iterable[Document]) -> None:
    """Print a table."""
    columns = ("ID", "USER", "DEVICE", "FROM", "BEGAN", "SEEN", "ENDS", "STREAMS", "STATE")
    for line in table_lines(columns, [_row(one) for one in sessions]):
        click.echo(line)


def _row(one: Document) -> list[object]:
    state = "holds" if one.get("holds", True) else str(one.get("cause") or "over")
    cells = [one.get(name) for name in ("id", "user", "device", "address")]
    times = [_moment(str(one.get(name) or "")) for name in ("beganAt", "seenAt", "endsAt")]
    return [*cells, *times, one.get("streams", 0), state]


def _moment(text: str) -> str:
    try:
        return f"{datetime.fromisoformat(text).astimezone():{_WHEN}}" if "T" in text else text
    except ValueError:
        return text

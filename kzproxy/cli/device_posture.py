"""``kzproxy device posture``."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

import click

from kzproxy.client.notices import visible
from kzproxy.client.posture.finding import Finding, Posture
from kzproxy.client.posture.report import collector, document
from kzproxy.clock.system import SystemClock

_EPILOG = """\b
Examples:
  kzproxy device posture
  kzproxy device posture -o json
  kzproxy device posture --root /mnt/image     a tree of files, such as a mounted image

\b
Exits 0, whatever is found.
"""


@click.command(name="posture", epilog=_EPILOG)
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.option(
    "--root",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    default=Path("/"),
    help="Look at the files below this directory instead of this machine's.",
)
def command(output: str, root: Path) -> None:
    """Show what state this machine is in, as it is reported.

    Each fact comes with how it is known, or why it is not. Nothing is sent: the server gets the
    same with each renewal of a session, signed with this client's key. No list of processes and
    no file of yours is in it.
    """
    posture = collector(SystemClock(), root).collect()
    if output == "json":
        late = {name: one.why for name, one in posture.checks.items() if one.is_late}
        missing = {**posture.missing, **late}
        click.echo(json.dumps(document(posture) | {"missing": missing}, indent=2))
        return
    for line in _lines(posture):
        click.echo(visible(line))


def _lines(posture: Posture) -> Iterator[str]:
    system = posture.os
    yield f"{system.get('name')} ({system.get('id')} {system.get('version')})".replace(" )", ")")
    yield _line("kernel", f"{system['kernel'] or 'not known'} {system['arch']}", "")
    yield from _texts(posture.hardware, posture.missing)
    yield ""
    if not posture.checks:
        yield _line("checks", "-", posture.missing.get("checks", ""))
    for name, finding in posture.checks.items():
        yield _line(name, _answer(finding), finding.why)


def _texts(known: Mapping[str, str], missing: Mapping[str, str]) -> Iterator[str]:
    for name in ("vendor", "model", "serial", "machine", "tpm"):
        value = known.get(name)
        yield _line(name, value, "") if value else _line(name, "-", missing.get(name, ""))


def _answer(finding: Finding) -> str:
    if finding.value is None:
        return "unknown"
    if isinstance(finding.value, bool):
        return "yes" if finding.value else "no"
    return str(finding.value)


def _line(name: str, value: str, why: str) -> str:
    return f"  {name:<15} {value:<8} {why}".rstrip()

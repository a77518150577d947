"""``kzproxy config``."""

import asyncio
import json
from pathlib import Path

import click

from kzproxy.clock.system import SystemClock
from kzproxy.config.proxy import load_proxy_settings
from kzproxy.errors.configuration import ConfigurationError
from kzproxy.server.check import check


@click.group(name="config")
def command() -> None:
    """Check configuration files without starting."""


@command.command(name="check")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--offline", is_flag=True, help="Check the files only; ask neither kube-apiserver nor issuers."
)
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)
def config_check(file: Path, offline: bool, output: str) -> None:
    """Check FILE, the files it names, and that kzproxy could do its job with them.

    Exits 2 and names every mistake with its place where it could not.
    """
    try:
        settings = load_proxy_settings(file)
        account = asyncio.run(check(settings, SystemClock(), offline=offline))
    except ConfigurationError as error:
        if output == "text":
            raise
        mistakes = [
            {"source": m.source, "line": m.line, "column": m.column, "message": m.message}
            for m in error.mistakes
        ]
        click.echo(json.dumps({"ok": False, "mistakes": mistakes}, indent=2))
        raise SystemExit(2) from None
    if output == "json":
        click.echo(json.dumps({"ok": True, "account": account, "mistakes": []}, indent=2))
    else:
        click.echo(f"{file}: ok" + (f"; kzproxy acts as {account}" if account else ""))

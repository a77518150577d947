"""``kzproxy login``."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import click

from kzproxy.cli.chosen_sign_in import chosen_settings, context_options
from kzproxy.cli.duration import Duration, spoken
from kzproxy.cli.plugin_options import plugin_arguments, plugin_options
from kzproxy.client.notices import visible
from kzproxy.client.plugin_settings import PluginSettings
from kzproxy.client.sign_in import sign_in
from kzproxy.client.signed_in_user import signed_in_user
from kzproxy.client.step_up import StepUp
from kzproxy.client.token_cache import CacheEntry, TokenCache, cache_directory
from kzproxy.clock.system import SystemClock

_EPILOG = """\b
Examples:
  kzproxy login
  kzproxy login --flow device-code            no browser here: enter a code elsewhere
  kzproxy login --flow paste                  neither: paste a code that a page shows
  kzproxy login --acr phr --max-age 5m        as policy asked for
"""


@click.command(name="login", epilog=_EPILOG)
@click.option("--acr", default="", metavar="VALUES", help="Sign in this strongly (acr_values).")
@click.option(
    "--max-age",
    type=Duration(allows_none=True),
    help="Show who you are again, unless you did so within this time, such as 5m or 0s.",
)
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@context_options
@plugin_options
def command(
    acr: str,
    max_age: int | None,
    output: str,
    context: str,
    kubeconfig: Path | None,
    **given: object,
) -> None:
    """Sign in now, whether or not you are signed in already.

    Signs in as the kubeconfig context says, unless the options name an issuer; other options
    count more than the context's, as in `kzproxy login --flow device-code`.
    """
    settings = chosen_settings(os.environ, context, kubeconfig, plugin_arguments(given))
    cache = TokenCache(cache_directory(os.environ))
    step_up = StepUp(acr_values=acr, max_age_seconds=max_age)
    entry = sign_in(settings, cache, os.environ, interactive=True).anew(step_up)
    if output == "json":
        click.echo(json.dumps(_as_json(entry, settings), indent=2))
        return
    for line in _as_text(entry, settings, SystemClock().now()):
        click.echo(visible(line), err=True)


def _as_text(entry: CacheEntry, settings: PluginSettings, now: datetime) -> list[str]:
    name = signed_in_user(entry, settings).name
    lines = [f"You are signed in as {name} for {settings.server or 'any cluster'}."]
    if entry.session is not None:
        ends_at = datetime.fromtimestamp(entry.session.ends_at, UTC)
        left = spoken((ends_at - now).total_seconds())
        lines.append(
            f"The session holds for {left} at most, until {ends_at.astimezone():%H:%M:%S %Z}."
        )
    return lines


def _as_json(entry: CacheEntry, settings: PluginSettings) -> dict[str, object]:
    user = signed_in_user(entry, settings)
    document: dict[str, object] = {
        "name": user.name,
        "server": settings.server,
        "issuer": settings.client.issuer,
        "tokenExpiresAt": user.expires_at.isoformat(),
        "refreshable": user.refreshable(SystemClock().now()),
    }
    if entry.session is not None:
        ends_at = datetime.fromtimestamp(entry.session.ends_at, UTC)
        document["session"] = {"id": entry.session.id, "endsAt": ends_at.isoformat()}
    return document

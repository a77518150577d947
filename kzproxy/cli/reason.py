"""``kzproxy reason``."""

import os
import re
from datetime import datetime
from pathlib import Path

import click

from kzproxy.cli.chosen_sign_in import context_options
from kzproxy.client.failure import ClientFailure
from kzproxy.client.kubeconfig_files import KubeconfigFiles, kubeconfig_paths
from kzproxy.client.notices import visible
from kzproxy.client.proxy_server import Document, ask, proxy_server
from kzproxy.client.sign_in import signed_in
from kzproxy.client.token_cache import TokenCache, cache_directory

_DURATION = re.compile(r"([1-9][0-9]{0,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


class _Duration(click.ParamType[int]):
    name = "duration"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        if isinstance(value, int):
            return value
        found = _DURATION.fullmatch(str(value))
        if found is None:
            self.fail(f"{value!r} is not a duration such as 90s, 30m, 8h or 1d", param, ctx)
        return int(found[1]) * _SECONDS[found[2]]


@click.command(name="reason")
@click.argument("text", required=False, default=None)
@click.option("--for", "seconds", type=_Duration(), help="How long it holds, such as 30m.")
@click.option("--clear", is_flag=True, help="Take the reason back.")
@context_options
def command(
    text: str | None, seconds: int | None, clear: bool, context: str, kubeconfig: Path | None
) -> None:
    """Say why you do what you do, where the cluster's policy asks for a reason.

    \b
    kzproxy reason "INC-123 disk full" --for 30m
    kzproxy reason              show the one that holds
    kzproxy reason --clear      take it back

    It holds for this sign-in on this device, and stands in the decision log beside what you do.
    """  # noqa: D301 - click's mark for a paragraph that keeps its lines
    if clear and text is not None:
        raise click.UsageError("give a reason, or --clear")
    if seconds is not None and text is None:
        raise click.UsageError("--for goes with a reason")
    if clear:
        answer = _ask("DELETE", context, kubeconfig)
    elif text is not None:
        body: Document = {"reason": text}
        if seconds is not None:
            body["seconds"] = seconds
        answer = _ask("PUT", context, kubeconfig, body)
    else:
        answer = _ask("GET", context, kubeconfig)
    click.echo(_line(answer))


def _ask(
    method: str, context: str, kubeconfig: Path | None, body: Document | None = None
) -> Document:
    paths = (kubeconfig,) if kubeconfig else kubeconfig_paths(os.environ)
    server = proxy_server(KubeconfigFiles(paths), context)
    cache = TokenCache(cache_directory(os.environ))
    entry = signed_in(server.settings, cache, os.environ, interactive=True)
    return ask(server, entry.id_token, method, "reason", body)


def _line(answer: Document) -> str:
    reason, ends_at = str(answer.get("reason") or ""), str(answer.get("endsAt") or "")
    if not reason:
        return "No reason is given."
    try:
        end = datetime.fromisoformat(ends_at).astimezone()
    except ValueError:
        raise ClientFailure("the answer has no end that can be read") from None
    return f"{visible(reason)}\n  until {end:%Y-%m-%d %H:%M:%S %Z}"

"""``kzproxy reason``."""

from datetime import datetime
from pathlib import Path

import click

from kzproxy.cli.chosen_sign_in import context_options
from kzproxy.cli.duration import Duration
from kzproxy.cli.own_endpoint import ask_own_endpoint
from kzproxy.client.failure import ClientFailure
from kzproxy.client.notices import visible
from kzproxy.client.proxy_server import Document


@click.command(name="reason")
@click.argument("text", required=False, default=None)
@click.option("--for", "seconds", type=Duration(), help="How long it holds, such as 30m.")
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
        answer = ask_own_endpoint("DELETE", "reason", context, kubeconfig)
    elif text is not None:
        body: Document = {"reason": text}
        if seconds is not None:
            body["seconds"] = seconds
        answer = ask_own_endpoint("PUT", "reason", context, kubeconfig, body)
    else:
        answer = ask_own_endpoint("GET", "reason", context, kubeconfig)
    click.echo(_line(answer))


def _line(answer: Document) -> str:
    reason, ends_at = str(answer.get("reason") or ""), str(answer.get("endsAt") or "")
    if not reason:
        return "No reason is given."
    try:
        end = datetime.fromisoformat(ends_at).astimezone()
    except ValueError:
        raise ClientFailure("the answer has no end that can be read") from None
    return f"{visible(reason)}\n  until {end:%Y-%m-%d %H:%M:%S %Z}"

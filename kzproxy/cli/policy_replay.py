"""``kzproxy policy replay``."""

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path

import click

from kzproxy.audit.schema import DecisionRecord
from kzproxy.cli.policy_options import AT
from kzproxy.config.access_policy import load_access_policies
from kzproxy.config.document import Mistakes
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy_tools.replay import Replayed, UnreadableLog, decisions_in

_EPILOG = """\b
Examples:
  kzproxy policy replay --log decisions.jsonl --policy new.yaml
  kzproxy policy replay --log decisions.jsonl.1 --log decisions.jsonl \\
      --policy a.yaml --policy b.yaml --since 2026-11-01T00:00:00Z -o json

\b
Exits 0 where every decision comes out the same, 1 where one does not, 2 where a
file cannot be read. Decisions that rest on what is not in the log (objects and labels
that the policy of then did not ask about, full commands) are counted and left out.
"""
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_TELL_EVERY = 100_000


@click.command(name="replay", epilog=_EPILOG)
@click.option("--log", "logs", type=_FILE, multiple=True, required=True, help="A decision log.")
@click.option(
    "--policy", "policies", type=_FILE, multiple=True, required=True, help="All files of a policy."
)
@click.option("--since", type=AT, help="Only what was received then or later.")
@click.option("--until", type=AT, help="Only what was received before.")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)
def command(
    logs: tuple[Path, ...],
    policies: tuple[Path, ...],
    *,
    since: datetime | None,
    until: datetime | None,
    output: str,
) -> None:
    """Take the decisions of a log once more, by another policy, and show what would change."""
    mistakes = Mistakes()
    engine = PolicyEngine(load_access_policies(policies, mistakes))
    mistakes.raise_if_any()
    replayed = Replayed()
    try:
        for record in _told(decisions_in(logs, since=since, until=until)):
            replayed.take(engine, record)
    except UnreadableLog as error:
        click.echo(f"kzproxy policy replay: {error}", err=True)
        raise SystemExit(2) from None
    if output == "json":
        click.echo(json.dumps(_as_json(replayed), indent=2))
    else:
        _show(replayed)
    raise SystemExit(1 if replayed.flips else 0)


def _told(records: Iterable[DecisionRecord]) -> Iterator[DecisionRecord]:
    """Say on standard error how far it is."""
    for number, record in enumerate(records, 1):
        if not number % _TELL_EVERY:
            click.echo(f"{number} decisions ...", err=True)
        yield record


def _show(replayed: Replayed) -> None:
    for flip, count in replayed.flips.most_common():
        click.echo(
            f"{flip.was} -> {flip.becomes}: {count} of {flip.user},"
            f" rule {flip.old_rule or 'none'} -> {flip.new_rule or 'none'},"
            f" such as {replayed.examples[flip]}"
        )
    for why, count in replayed.left_out.most_common():
        click.echo(f"left out: {count}, {why}")
    flips = sum(replayed.flips.values())
    click.echo(f"{replayed.judged} decisions: {flips} would come out otherwise")


def _as_json(replayed: Replayed) -> dict[str, object]:
    return {
        "judged": replayed.judged,
        "flips": [
            {**flip._asdict(), "count": count, "audit_id": replayed.examples[flip]}
            for flip, count in replayed.flips.most_common()
        ],
        "left_out": dict(replayed.left_out.most_common()),
    }

"""``kzproxy why``."""

import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import click

from kzproxy.cli.chosen_sign_in import context_options
from kzproxy.cli.own_endpoint import ask_own_endpoint
from kzproxy.client.failure import ClientFailure
from kzproxy.client.notices import visible
from kzproxy.client.proxy_server import Document, NotThere

_UUID = r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_NAMED = re.compile(rf"audit id:?\s+({_UUID})", re.IGNORECASE)
_ALONE = re.compile(rf"(?<![0-9a-zA-Z-])({_UUID})(?![0-9a-zA-Z-])")
_ITS_OWN = re.compile(rf" \(audit id {_UUID}\)$")
_WHEN = "%Y-%m-%d %H:%M:%S %Z"
# A policy of a thousand rules takes seconds to take apart.
_TIMEOUT_SECONDS = 30.0
_EPILOG = """\b
Examples:
  kzproxy why 14e1a941-c016-4b81-9094-acd64fc07f69
  kzproxy why "(audit id 14e1a941-c016-4b81-9094-acd64fc07f69)"
  kzproxy why --full 14e1a941-c016-4b81-9094-acd64fc07f69     for administrators

\b
Exits 0 where an answer is found, 1 where there is none, 2 where it was called wrongly.
"""


@click.command(name="why", epilog=_EPILOG)
@click.argument("words", nargs=-1, required=True, metavar="AUDIT-ID")
@click.option("--full", is_flag=True, help="Anybody's request, rule by rule, if policy lets you.")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@context_options
def command(
    words: tuple[str, ...], output: str, context: str, kubeconfig: Path | None, *, full: bool
) -> None:
    """Say why one of your requests was refused, and what to do about it.

    AUDIT-ID stands at the end of what kubectl prints; the words around it may be given
    too, and of several refusals the last one counts.
    """
    audit_id = _audit_id(" ".join(words))
    path = f"explanations/{audit_id}" if full else f"decisions/{audit_id}"
    try:
        answer = ask_own_endpoint(
            "GET", path, context, kubeconfig, timeout_seconds=_TIMEOUT_SECONDS
        )
    except NotThere as failure:
        # The refusal of the question has an id of its own, which helps nobody here.
        raise ClientFailure(_ITS_OWN.sub("", failure.said) or str(failure)) from None
    if output == "json":
        click.echo(json.dumps(answer, indent=2))
        return
    for line in _whole(answer) if full else _lines(answer):
        click.echo(visible(line))


def _audit_id(text: str) -> str:
    """Return the id in what was given: the last one that is called so, else the only one."""
    # Before its error kubectl may print what it was refused on the way there.
    found = _NAMED.findall(text)[-1:] or _ALONE.findall(text)
    if len(found) != 1:
        raise click.UsageError(
            "give one audit id, such as 14e1a941-c016-4b81-9094-acd64fc07f69; kubectl prints it at"
            " the end of what kzproxy refused"
        )
    return str(found[0]).lower()


def _lines(told: Document) -> Iterator[str]:
    asked = _part(told, "asked")
    yield f"{told.get('answer')}: {_what(asked)}"
    yield _line("asked at", _moment(asked.get("at")))
    if failed := told.get("failed"):
        yield _line("why", str(failed))
    elif rule := told.get("rule"):
        yield _line("why", f"rule {rule} allows it")
    unmet = told.get("unmet")
    if isinstance(unmet, list) and unmet:
        yield _line("unmet", ", ".join(str(name) for name in unmet))
    if ended := _part(told, "ended"):
        code = f", status {ended['statusCode']}" if "statusCode" in ended else ""
        yield _line("ended", f"{ended.get('termination')}{code}")
    yield from _to_do(_part(told, "toDo"))
    if told.get("policyHasChanged"):
        yield _line("note", "policy has changed since; what to do is said of the one in force now")


def _to_do(to_do: Document) -> Iterator[str]:
    if not to_do:
        return
    yield _line("to do", str(to_do.get("text")))
    steps = to_do.get("steps")
    for step in steps if isinstance(steps, list) else []:
        if isinstance(step, dict) and step.get("command"):
            yield _line("", str(step["command"]))
    if "allowedFrom" in to_do or "allowedUntil" in to_do:
        start = "now" if to_do.get("allowedNow") else f"from {_moment(to_do.get('allowedFrom'))}"
        until = to_do.get("allowedUntil")
        yield _line("allowed", f"{start} until {_moment(until)}" if until else start)


def _whole(told: Document) -> Iterator[str]:
    yield from _lines(_part(told, "decision"))
    groups = told.get("groups")
    names = ", ".join(str(group) for group in groups) if isinstance(groups, list) else ""
    yield _line("user", f"{told.get('user') or 'not known'} ({names or 'no groups'})")
    yield _line("from", str(told.get("source")))
    policy = _part(told, "policy")
    yield _line("policy", f"decided by {policy.get('decidedBy') or 'none'}")
    for name, words in (("inForce", "in force now"), ("explainedBy", "explained by")):
        if policy.get(name) not in ("", None, policy.get("decidedBy")):
            yield _line("", f"{words}: {policy[name]}, which is another one")
    text = _part(policy, "tree").get("text")
    if isinstance(text, list):
        yield ""
        yield from (str(line) for line in text)
    else:
        yield _line("no tree", str(policy.get("missing")))


def _what(asked: Document) -> str:
    resource = str(asked.get("resource") or "")
    if not resource:
        return f"{asked.get('verb') or 'a request'} {asked.get('path') or ''}".rstrip()
    what = "/".join(str(asked[key]) for key in ("resource", "subresource") if asked.get(key))
    group = f" of {asked['apiGroup']}" if asked.get("apiGroup") else ""
    name = f" {asked['name']}" if asked.get("name") else ""
    where = f" in namespace {asked['namespace']}" if asked.get("namespace") else ""
    return f"{asked.get('verb')} {what}{group}{name}{where}"


def _part(document: Document, name: str) -> Document:
    part = document.get(name)
    return part if isinstance(part, dict) else {}


def _moment(value: object) -> str:
    try:
        return f"{datetime.fromisoformat(str(value)).astimezone():{_WHEN}}"
    except ValueError:
        raise ClientFailure("the answer has a time that cannot be read") from None


def _line(label: str, text: str) -> str:
    return f"  {label:<9} {text}"

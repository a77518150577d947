"""``kzproxy policy explain``."""

import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import click

from kzproxy.attributes.attributes import Attributes
from kzproxy.cli.policy_flow import decision_line, flow
from kzproxy.cli.policy_options import AT, now_or
from kzproxy.config.access_policy import load_access_policies
from kzproxy.config.mistakes import Mistakes
from kzproxy.errors.kinds import BadRequest, NotServed
from kzproxy.policy.decision import Permit
from kzproxy.policy_tools.asked import Asked, attributes_of
from kzproxy.policy_tools.case_file import load_case_file
from kzproxy.policy_tools.explain import Part, PolicyExplanation, RuleReading, explain_decision
from kzproxy.policy_tools.policy_text import read_policy_text

_EPILOG = """\b
Examples:
  kzproxy policy explain -p policy.yaml --user ana --group dev list pods -n prod
  kzproxy policy explain -p policy.yaml --user ana --group dev --device-enrolled \\
      --from 203.0.113.9 --at 2026-03-04T10:00:00+01:00 connect pods/exec web-1 -n prod
  kzproxy policy explain --case-file policy.test.yaml --case "a guest changes nothing"

\b
Exits 0 where it is allowed, 1 where it is denied, 2 where it was called wrongly or a file
cannot be read. What is not given is not known: without --device-enrolled there is no device.
"""


@click.command(name="explain", epilog=_EPILOG)
@click.argument("verb", default="")
@click.argument("resource", default="")
@click.argument("name", default="")
@click.option(
    "-p",
    "--policy",
    "policies",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="A policy file; give all.",
)
@click.option("--user", help="Name of the user, as kzproxy knows it.")
@click.option("--group", "groups", multiple=True, help="A group of the user; may be repeated.")
@click.option("--spiffe-id", default="", help="SPIFFE ID of a workload.")
@click.option("--signed-in", metavar="AGE", default="", help="How long ago: 90s, 15m, 8h, 30d.")
@click.option("--class", "authentication_class", default="", help="Class (acr) of the sign-in.")
@click.option("--method", "methods", multiple=True, help="A method (amr) of the sign-in.")
@click.option("--device-enrolled", is_flag=True, help="The device is enrolled.")
@click.option("--from", "source", default="192.0.2.1", show_default=True, metavar="ADDRESS")
@click.option("--at", type=AT, help="When; by default now.")
@click.option("-n", "--namespace", default="", help="Namespace of the request.")
@click.option("--reason", default="", help="The reason that the user gave.")
@click.option(
    "--case-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Explain a case of this PolicyTest file instead.",
)
@click.option("--case", "case_name", default="", help="Name of the case.")
@click.option("--all", "show_all", is_flag=True, help="Show the rules that concern others too.")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)
def command(
    *,
    policies: tuple[Path, ...],
    case_file: Path | None,
    case_name: str,
    show_all: bool,
    output: str,
    **asked: object,
) -> None:
    """Say how a policy judges a request, condition by condition, and what would change it.

    VERB, RESOURCE and NAME are written as for `kzproxy policy who-can`.
    """
    explanation = (
        _of_case(case_file, case_name) if case_file is not None else _of_options(policies, asked)
    )
    if output == "json":
        click.echo(json.dumps(_json(explanation), indent=2, default=str))
    else:
        for line in _lines(explanation, show_all=show_all):
            click.echo(line)
    raise SystemExit(0 if isinstance(explanation.decision, Permit) else 1)


def _of_case(path: Path, name: str) -> PolicyExplanation:
    mistakes = Mistakes()
    file = load_case_file(path, mistakes)
    mistakes.raise_if_any()
    case = next((one for one in file.cases if one.name == name), None)
    if case is None:
        names = "".join(f"\n  {one.name}" for one in file.cases)
        raise click.UsageError(f"--case must be one of the cases of {path}:{names}")
    return explain_decision(file.policies, read_policy_text(file.policy_paths), case.attributes)


def _of_options(paths: tuple[Path, ...], asked: dict[str, object]) -> PolicyExplanation:
    missing = [
        word
        for word, value in (
            ("--policy", paths),
            ("--user", asked["user"]),
            ("VERB", asked["verb"]),
            ("RESOURCE", asked["resource"]),
        )
        if not value
    ]
    if missing:
        raise click.UsageError(f"{', '.join(missing)} must be given, or --case-file and --case")
    attributes = _attributes(asked)
    mistakes = Mistakes()
    policies = load_access_policies(paths, mistakes)
    mistakes.raise_if_any()
    return explain_decision(policies, read_policy_text(paths), attributes)


def _attributes(asked: dict[str, object]) -> Attributes:
    at = asked.pop("at")
    try:
        moment = now_or(at if isinstance(at, datetime) else None)
        return attributes_of(Asked(at=moment, **asked))  # type: ignore[arg-type]
    except (BadRequest, NotServed, ValueError) as error:
        raise click.UsageError(str(error)) from error


def _lines(explanation: PolicyExplanation, *, show_all: bool) -> Iterator[str]:
    yield decision_line(explanation.decision)
    hidden = 0
    for rule in explanation.rules:
        if rule.concerns or show_all:
            yield from _rule_lines(rule)
        else:
            hidden += 1
    if hidden:
        yield f"({hidden} more rules mean others or other requests; --all shows them)"
    if explanation.changes:
        yield "It would be allowed to:"
        yield from (f"  - {change.text}" for change in explanation.changes)
    elif not isinstance(explanation.decision, Permit):
        yield "No sign-in, device, network, time, reason or group that is known of would change it."
    if isinstance(explanation.decision, Permit):
        yield "kube-apiserver judges after kzproxy, by its own RBAC."


def _rule_lines(rule: RuleReading) -> Iterator[str]:
    place = f"{rule.place.source}:{rule.place.line}"
    yield f"{'+' if rule.matched else '-'} {rule.effect} rule {rule.rule} ({place})" + (
        "" if rule.matched else ": does not match"
    )
    failed = rule.first_failed
    for part in rule.parts:
        yield from _part_lines(part, is_first_failed=part is failed)
    yield from (f"    [yes] obligation {name}" for name in rule.met)
    yield from (f"    [no ] obligation {name}   <- not met" for name in rule.unmet)


def _part_lines(part: Part, *, is_first_failed: bool) -> Iterator[str]:
    mark = "err" if part.error else "yes" if part.holds else "no "
    wanted = f" {flow(part.wanted)}" if part.wanted else ""
    arrow = "   <- first that fails" if is_first_failed else ""
    yield f"    [{mark}] {part.name}{wanted}{arrow}"
    if part.found:
        yield f"          found: {part.found}"
    if part.error:
        yield f"          error: {part.error}"


def _json(explanation: PolicyExplanation) -> dict[str, object]:
    decision = explanation.decision
    return {
        "decision": "allow" if isinstance(decision, Permit) else "deny",
        "rule": decision.rule,
        "cause": "" if isinstance(decision, Permit) else decision.cause.value,
        "hint": "" if isinstance(decision, Permit) else decision.hint,
        "rules": [_rule_json(rule) for rule in explanation.rules],
        "changes": [
            {"kinds": [kind.value for kind in change.kinds], "text": change.text}
            for change in explanation.changes
        ],
    }


def _rule_json(rule: RuleReading) -> dict[str, object]:
    return {
        "rule": rule.rule,
        "effect": rule.effect,
        "source": rule.place.source,
        "line": rule.place.line,
        "column": rule.place.column,
        "matched": rule.matched,
        "firstFailed": rule.first_failed.name if rule.first_failed is not None else "",
        "met": list(rule.met),
        "unmet": list(rule.unmet),
        "parts": [
            {
                "name": part.name,
                "holds": part.holds,
                "wanted": part.wanted,
                "found": part.found,
                "error": part.error,
            }
            for part in rule.parts
        ],
    }

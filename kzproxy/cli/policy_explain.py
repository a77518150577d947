"""``kzproxy policy explain``."""

import json
from datetime import datetime
from pathlib import Path

import click
from msgspec.structs import replace

from kzproxy.attributes.api_object import Labels
from kzproxy.attributes.attributes import Attributes
from kzproxy.cli.policy_explanation import explanation_json, explanation_lines
from kzproxy.cli.policy_options import now_or
from kzproxy.cli.policy_question import FILE, QUESTION
from kzproxy.config.mistakes import Mistakes
from kzproxy.errors.kinds import BadRequest, NotServed
from kzproxy.policy.decision import Permit
from kzproxy.policy_tools.asked import Asked, attributes_of
from kzproxy.policy_tools.asked_object import asked_object, read_manifest
from kzproxy.policy_tools.case_file import load_case_file
from kzproxy.policy_tools.explain import PolicyExplanation, explain_decision
from kzproxy.policy_tools.logged import NotInLog, logged_decision
from kzproxy.policy_tools.policy_text import load_policy_text
from kzproxy.policy_tools.replay import UnreadableLog

_EPILOG = """\b
Examples:
  kzproxy policy explain -p policy.yaml --user ana --group dev list pods -n prod
  kzproxy policy explain -p policy.yaml --user ana --group dev --device-enrolled \\
      --from 203.0.113.9 --at 2026-03-04T10:00:00+01:00 \\
      --command ls --object pod.yaml connect pods/exec web-1 -n prod
  kzproxy policy explain --case-file policy.test.yaml --case "a guest changes nothing"
  kzproxy policy explain -p policy.yaml --log decisions.jsonl \\
      --from-record 6a1f9f4e-5b0c-4a55-9a3e-0d7b9c1c2f10

\b
Exits 0 where it is allowed, 1 where it is denied, 2 where it was called wrongly or a file
cannot be read. What is not given is not known: without --device-enrolled there is no device.
"""


@click.command(name="explain", epilog=_EPILOG)
@click.argument("verb", default="")
@click.argument("resource", default="")
@click.argument("name", default="")
@click.option("-p", "--policy", "policies", multiple=True, type=FILE, help="A policy; give all.")
@QUESTION
@click.option("--all", "show_all", is_flag=True, help="Show the rules that concern others too.")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)
def command(
    *,
    policies: tuple[Path, ...],
    case_file: Path | None,
    case_name: str,
    from_record: str | None,
    logs: tuple[Path, ...],
    show_all: bool,
    output: str,
    **asked: object,
) -> None:
    """Say how a policy judges a request, condition by condition, and what would change it.

    VERB, RESOURCE and NAME are written as for `kzproxy policy who-can`. Of an expression every
    part is shown with the value that it had; words of commands and extras of users are not.
    """
    notes: list[str] = []
    if case_file is not None:
        explanation = _of_case(case_file, case_name)
    elif from_record is not None:
        explanation, notes = _of_record(policies, logs, from_record, asked)
    else:
        explanation = _of_options(policies, asked)
    if output == "json":
        click.echo(json.dumps(explanation_json(explanation, notes), indent=2, default=str))
    else:
        for line in explanation_lines(explanation, notes, show_all=show_all):
            click.echo(line)
    raise SystemExit(0 if isinstance(explanation.decision, Permit) else 1)


def _of_case(path: Path, name: str) -> PolicyExplanation:
    _refuse_others(("case_file", "case_name"), "the case says it")
    mistakes = Mistakes()
    file = load_case_file(path, mistakes)
    mistakes.raise_if_any()
    case = next((one for one in file.cases if one.name == name), None)
    if case is None:
        names = "".join(f"\n  {one.name}" for one in file.cases)
        raise click.UsageError(f"--case must be one of the cases of {path}:{names}")
    return explain_decision(file.policies, file.text, case.attributes)


def _of_record(
    paths: tuple[Path, ...], logs: tuple[Path, ...], audit_id: str, asked: dict[str, object]
) -> tuple[PolicyExplanation, list[str]]:
    _require({"--policy": paths, "--log": logs}, "with --from-record")
    not_logged = ("namespace_labels", "object_file")
    _refuse_others(("from_record", "logs", "policies", *not_logged), "the record says it")
    try:
        logged = logged_decision(logs, audit_id)
        attributes = _with_what_is_not_logged(logged.attributes, asked)
    except (BadRequest, ValueError, NotInLog, UnreadableLog) as error:
        raise click.UsageError(str(error)) from error
    explanation = _explain(paths, attributes)
    return explanation, logged.notes(explanation.decision)


def _refuse_others(known: tuple[str, ...], why: str) -> None:
    """Refuse what was given besides the parameters that are looked at."""
    context = click.get_current_context()
    wrong = [
        parameter.human_readable_name
        if isinstance(parameter, click.Argument)
        else parameter.opts[-1]
        for parameter in context.command.params
        if parameter.name not in (*known, "show_all", "output")
        and context.get_parameter_source(str(parameter.name)) is not _DEFAULT
    ]
    if wrong:
        raise click.UsageError(f"{', '.join(wrong)}: {why}; leave it out")


_DEFAULT = click.core.ParameterSource.DEFAULT


def _with_what_is_not_logged(attributes: Attributes, asked: dict[str, object]) -> Attributes:
    labels, manifest = _labels(asked), _manifest(asked)
    known = attributes.api_object
    if known is None or manifest is not None:
        known = asked_object(attributes.request, manifest)
    return replace(
        attributes,
        namespace_labels=attributes.namespace_labels if labels is None else labels,
        api_object=known,
    )


def _of_options(paths: tuple[Path, ...], asked: dict[str, object]) -> PolicyExplanation:
    together = "--case goes with --case-file, and --log goes with --from-record"
    _refuse_others(("policies", *asked), together)
    needed = {
        "--policy": paths,
        "--user": asked["user"],
        "VERB": asked["verb"],
        "RESOURCE": asked["resource"],
    }
    _require(needed, "or --case-file and --case, or --from-record and --log")
    return _explain(paths, _attributes(asked))


def _require(needed: dict[str, object], otherwise: str) -> None:
    missing = [word for word, value in needed.items() if not value]
    if missing:
        raise click.UsageError(f"{', '.join(missing)} must be given, {otherwise}")


def _explain(paths: tuple[Path, ...], attributes: Attributes) -> PolicyExplanation:
    mistakes = Mistakes()
    policies, text = load_policy_text(paths, mistakes)
    mistakes.raise_if_any()
    return explain_decision(policies, text, attributes)


def _attributes(asked: dict[str, object]) -> Attributes:
    at = asked.pop("at")
    labels, manifest = _labels(asked), _manifest(asked)
    known = {name: asked[name] for name in asked.keys() - {"namespace_labels", "object_file"}}
    try:
        return attributes_of(
            Asked(
                at=now_or(at if isinstance(at, datetime) else None),
                namespace_labels=labels,
                manifest=manifest,
                **known,  # type: ignore[arg-type]
            )
        )
    except (BadRequest, NotServed, ValueError) as error:
        raise click.UsageError(str(error)) from error


def _labels(asked: dict[str, object]) -> Labels | None:
    given = asked["namespace_labels"]
    return tuple(sorted(given)) if isinstance(given, tuple) and given else None


def _manifest(asked: dict[str, object]) -> object:
    path = asked["object_file"]
    if not isinstance(path, Path):
        return None
    mistakes = Mistakes()
    manifest = read_manifest(path, mistakes)
    mistakes.raise_if_any()
    return manifest

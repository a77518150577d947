"""``kzproxy policy check``."""

import json
from datetime import datetime
from pathlib import Path

import click

from kzproxy.cli.policy_options import AT, POLICY_FILES, now_or
from kzproxy.cli.policy_report import github_annotation, sarif
from kzproxy.errors.configuration import ConfigurationError, Mistake
from kzproxy.policy_tools.check import CheckOptions, check_policies
from kzproxy.policy_tools.finding import Finding, Severity

_EPILOG = """\b
Examples:
  kzproxy policy check config/policy.yaml
  kzproxy policy check --strict --at 2026-12-01T00:00:00Z networks.yaml rules.yaml
  kzproxy policy check -o github policies/*.yaml    # annotations in a pull request

\b
Exits 0 where nothing is wrong, 1 where a lint found something (--strict: warnings too),
2 where the files are no policy; every mistake is named at once, as file:line:column.
Name policies alone: files of test cases are for `kzproxy policy test`, and a mistake here.
docs/policy.md explains each lint.
"""


@click.command(name="check", epilog=_EPILOG)
@POLICY_FILES
@click.option("--strict", is_flag=True, help="Fail for warnings too.")
@click.option(
    "--allow-network-only", is_flag=True, help="Allow rules may rest on the network alone."
)
@click.option("--at", type=AT, help="The time for which dates are judged; by default now.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["text", "json", "sarif", "github"]),
    default="text",
    show_default=True,
)
def command(
    files: tuple[Path, ...],
    *,
    strict: bool,
    allow_network_only: bool,
    at: datetime | None,
    output: str,
) -> None:
    """Look for mistakes, and for what is hardly meant so, in FILES, which are one policy."""
    options = CheckOptions(at=now_or(at), allow_network_only=allow_network_only)
    try:
        findings = check_policies(files, options)
    except ConfigurationError as error:
        if output == "text":
            raise
        _show_machine(output, (), error.mistakes, is_ok=False)
        raise SystemExit(2) from None
    is_ok = not any(strict or found.severity is Severity.ERROR for found in findings)
    if output == "text":
        _show(findings, len(files))
    else:
        _show_machine(output, findings, (), is_ok=is_ok)
    raise SystemExit(0 if is_ok else 1)


def _show(findings: tuple[Finding, ...], files: int) -> None:
    for found in findings:
        place = f"{found.place.source}:{found.place.line}:{found.place.column}"
        rule = f"rule {found.rule}: " if found.rule else ""
        click.echo(f"{place}: {found.severity}: {rule}{found.message} [{found.lint}]")
    errors = sum(found.severity is Severity.ERROR for found in findings)
    what = f"{files} file{'s' if files > 1 else ''}"
    click.echo(
        f"{what}: {errors} errors, {len(findings) - errors} warnings" if findings else f"{what}: ok"
    )


def _show_machine(
    output: str, findings: tuple[Finding, ...], mistakes: tuple[Mistake, ...], *, is_ok: bool
) -> None:
    rows = [_row(found) for found in findings] + [_mistake_row(mistake) for mistake in mistakes]
    if output == "github":
        for row in rows:
            click.echo(github_annotation(row))
        return
    result = sarif(rows) if output == "sarif" else {"ok": is_ok, "findings": rows}
    click.echo(json.dumps(result, indent=2))


def _row(found: Finding) -> dict[str, object]:
    return {
        "severity": found.severity.value,
        "lint": found.lint.value,
        "source": found.place.source,
        "line": found.place.line,
        "column": found.place.column,
        "rule": found.rule,
        "message": found.message,
    }


def _mistake_row(mistake: Mistake) -> dict[str, object]:
    return {
        "severity": "error",
        "lint": "mistake",
        "source": mistake.source,
        "line": mistake.line,
        "column": mistake.column,
        "rule": "",
        "message": mistake.message,
    }

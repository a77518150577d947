"""``kzproxy policy test``."""

import json
from collections.abc import Iterator
from pathlib import Path

import click

from kzproxy.cli.policy_flow import decision_line
from kzproxy.cli.policy_junit import junit
from kzproxy.config.mistakes import Mistakes
from kzproxy.policy_tools.case_file import load_case_file
from kzproxy.policy_tools.run_cases import CaseResult, FileResult, decision_word, run_case_file

_EPILOG = """\b
Examples:
  kzproxy policy test config/policies/*.test.yaml
  kzproxy policy test --junit report.xml policies/*.test.yaml
  kzproxy policy test --only "guest" policy.test.yaml

\b
Exits 0 where every case came out as expected and every rule and obligation was tried,
1 where not, 2 where a file cannot be read or written; every mistake is named, as file:line:column.
docs/policy.md shows how to write a file.
"""


@click.command(name="test", epilog=_EPILOG)
@click.argument("files", type=click.Path(path_type=Path, dir_okay=False), nargs=-1, required=True)
@click.option("--only", metavar="TEXT", help="Show only cases with TEXT in their name; all run.")
@click.option(
    "--junit", "report", type=click.Path(path_type=Path), help="Write a JUnit report here."
)
@click.option("-v", "--verbose", is_flag=True, help="Show the cases that passed too.")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)
def command(
    files: tuple[Path, ...],
    *,
    only: str | None,
    report: Path | None,
    verbose: bool,
    output: str,
) -> None:
    """Put the cases of FILES to the policies that they name."""
    mistakes = Mistakes()
    loaded = [load_case_file(path, mistakes) for path in files]
    mistakes.raise_if_any()
    results = [run_case_file(file) for file in loaded]
    if output == "json":
        click.echo(json.dumps(_json(results), indent=2))
    else:
        for result in results:
            for line in _lines(result, only or "", verbose=verbose):
                click.echo(line)
    if report is not None:
        _write(report, junit(results))
    raise SystemExit(0 if all(result.passed for result in results) else 1)


def _write(report: Path, text: str) -> None:
    """Write the report, after the results have been shown: they are not lost with it."""
    try:
        report.write_text(text, encoding="utf-8")
    except OSError as error:
        click.echo(f"kzproxy policy test: {report} cannot be written: {error.strerror}", err=True)
        raise SystemExit(2) from None


def _lines(result: FileResult, only: str, *, verbose: bool) -> Iterator[str]:
    for one in result.results:
        if only not in one.case.name:
            continue
        if one.differences:
            yield from _failure(one)
        elif verbose:
            yield f"ok    {one.case.name}"
    for gap in result.gaps:
        place = f"{gap.place.source}:{gap.place.line}:{gap.place.column}"
        yield f"{place}: rule {gap.rule}: {gap.message}"
    failed = sum(bool(one.differences) for one in result.results)
    yield (
        f"{result.file.path}: {len(result.results) - failed} passed, {failed} failed,"
        f" {len(result.gaps)} not tried"
    )


def _failure(one: CaseResult) -> Iterator[str]:
    place = one.case.place
    yield f"{place.source}:{place.line}:{place.column}: FAILED {one.case.name}"
    for difference in one.differences:
        yield f"    {difference.field}: expected {difference.expected or 'nothing'}"
        yield f"    {' ' * len(difference.field)}       got {difference.actual or 'nothing'}"
    yield f"    {decision_line(one.decision)}"


def _json(results: list[FileResult]) -> dict[str, object]:
    return {
        "ok": all(result.passed for result in results),
        "files": [
            {
                "file": str(result.file.path),
                "ok": result.passed,
                "cases": [_case_json(one) for one in result.results],
                "gaps": [
                    {
                        "rule": gap.rule,
                        "source": gap.place.source,
                        "line": gap.place.line,
                        "column": gap.place.column,
                        "message": gap.message,
                    }
                    for gap in result.gaps
                ],
            }
            for result in results
        ],
    }


def _case_json(one: CaseResult) -> dict[str, object]:
    decision = one.decision
    return {
        "name": one.case.name,
        "source": one.case.place.source,
        "line": one.case.place.line,
        "column": one.case.place.column,
        "ok": not one.differences,
        "decision": decision_word(decision),
        "rule": decision.rule,
        "differences": [
            {"field": d.field, "expected": d.expected, "actual": d.actual} for d in one.differences
        ],
    }

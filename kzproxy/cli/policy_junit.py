"""Results of policy tests as JUnit XML, which CI systems show."""

from collections.abc import Sequence
from xml.sax.saxutils import quoteattr

from kzproxy.policy_tools.run_cases import CaseResult, FileResult, Gap


def junit(results: Sequence[FileResult]) -> str:
    """Return the report: a suite for each file, a case for each case and for each gap."""
    suites = "".join(_suite(result) for result in results)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<testsuites>\n{suites}</testsuites>\n'


def _suite(result: FileResult) -> str:
    failures = sum(bool(one.differences) for one in result.results) + len(result.gaps)
    cases = [_case(one) for one in result.results] + [_gap(gap) for gap in result.gaps]
    total = len(cases)
    name = _attribute(str(result.file.path))
    return (
        f'  <testsuite name={name} tests="{total}" failures="{failures}" errors="0">\n'
        + "".join(cases)
        + "  </testsuite>\n"
    )


def _case(one: CaseResult) -> str:
    message = "; ".join(
        f"{d.field}: expected {d.expected or 'nothing'}, got {d.actual or 'nothing'}"
        for d in one.differences
    )
    place = one.case.place
    return _testcase(one.case.name, f"{place.source}:{place.line}", message)


def _gap(gap: Gap) -> str:
    name = f"coverage of rule {gap.rule}: {gap.message}"
    return _testcase(name, f"{gap.place.source}:{gap.place.line}", gap.message)


def _testcase(name: str, place: str, failure: str) -> str:
    opening = f"    <testcase name={_attribute(name)} classname={_attribute(place)}"
    if not failure:
        return f"{opening}/>\n"
    return f"{opening}>\n      <failure message={_attribute(failure)}/>\n    </testcase>\n"


def _attribute(text: str) -> str:
    # XML 1.0 section 2.2 has no place for other control characters, not even escaped.
    return quoteattr("".join(c if c.isprintable() else " " for c in text))

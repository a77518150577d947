"""Findings in the formats that code hosts show beside the lines they are about."""

from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, object]


def github_annotation(row: Row) -> str:
    """Return the workflow command that shows one finding (docs.github.com, Workflow commands)."""
    properties = {
        "file": row["source"],
        "line": row["line"] or 1,
        "col": row["column"] or 1,
        "title": f"kzproxy {row['lint']}",
    }
    listed = ",".join(f"{name}={_property(str(value))}" for name, value in properties.items())
    return f"::{row['severity']} {listed}::{_data(str(row['message']))}"


def sarif(rows: Sequence[Row]) -> dict[str, Any]:
    """Return all findings as a log of one run (SARIF 2.1.0, OASIS)."""
    lints = sorted({str(row["lint"]) for row in rows})
    return {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [
            {
                "tool": {"driver": {"name": "kzproxy", "rules": [{"id": lint} for lint in lints]}},
                "results": [_result(row) for row in rows],
            }
        ],
    }


def _result(row: Row) -> dict[str, Any]:
    region = {"startLine": row["line"] or 1, "startColumn": row["column"] or 1}
    location = {"artifactLocation": {"uri": row["source"]}, "region": region}
    return {
        "ruleId": row["lint"],
        "level": row["severity"],
        "message": {"text": row["message"]},
        "locations": [{"physicalLocation": location}],
    }


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")

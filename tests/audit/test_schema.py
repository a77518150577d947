"""Records, JSON Schema and reference document say the same."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from kzproxy.audit.chain import GENESIS, seal
from kzproxy.audit.events import Event, event_record
from kzproxy.audit.records import Caller, refusal_record
from kzproxy.audit.schema import (
    Cause,
    ContinuedAfter,
    GapRecord,
    Record,
    ResumedRecord,
    SignalReceivedRecord,
    SignalRefusedRecord,
    SignalSubjectFields,
    StartedRecord,
    StoppedRecord,
    Termination,
    Verdict,
    json_schema,
)
from kzproxy.errors.kinds import BadRequest
from tests.audit.samples import (
    ALICE,
    ARRIVAL,
    LAPTOP,
    LIST_PODS,
    NOW,
    attributes,
    completed_record,
    deny,
    permit,
    permit_record,
    record_of,
)

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
DOCUMENT = (REFERENCE / "decision-log.md").read_text()
SCHEMA_FILE = REFERENCE / "decision-log.schema.json"

RECORDS: list[Record] = [
    permit_record(),
    record_of(deny(), ARRIVAL, session_id="", message="m"),
    refusal_record(BadRequest("x"), ARRIVAL, decided_at=NOW),
    refusal_record(
        BadRequest("x"),
        ARRIVAL,
        decided_at=NOW,
        caller=Caller(identity=ALICE, session_id="s", device=LAPTOP, request=LIST_PODS),
    ),
    completed_record(),
    event_record(Event(name="device.token-made"), at=NOW),
    event_record(
        Event(
            name="device.enrolled",
            refused=True,
            message="no",
            audit_id="a",
            by="ana",
            user=("ana", "https://idp", "1"),
            session="s",
            device_id="d",
            key_thumbprint="0" * 64,
            address=ARRIVAL.source_address,
            port=1,
            details={"name": "a laptop"},
        ),
        at=NOW,
    ),
    SignalReceivedRecord(
        ts=NOW,
        stream="okta",
        source="https://idp.example.com",
        id="24c6",
        event="session-revoked",
        outcome="applied",
        effect="ends sessions",
        subject=SignalSubjectFields(issuer="https://idp.example.com", subject="00u1"),
        observed_at=NOW,
        sessions=("0" * 32,),
        sessions_omitted=1,
        message="m",
        evidence="e",
    ),
    SignalRefusedRecord(ts=NOW, stream="okta", error="invalid_key", message="m", address="::1"),
    StartedRecord(ts=NOW, kzproxy_version="0.1.0", torn_bytes=3),
    ResumedRecord(ts=NOW, kzproxy_version="0.1.0", after=ContinuedAfter.ROTATION),
    StoppedRecord(ts=NOW),
    GapRecord(ts=NOW, refused=2, lost=1),
]


def check(record: Record) -> None:
    """Validate the line as it is written, against the schema as it is shipped."""
    (line,), _ = seal(GENESIS, "0", [msgspec.json.encode(record)])
    validator = jsonschema.Draft202012Validator(
        json.loads(SCHEMA_FILE.read_text()),
        format_checker=jsonschema.Draft202012Validator.FORMAT_CHECKER,
    )
    validator.validate(json.loads(line))


@pytest.mark.parametrize("record", RECORDS)
def test_every_kind_of_record_is_valid(record: Record) -> None:
    check(record)


@given(st.text(st.characters(codec=None)), st.text(st.characters(codec=None)))
def test_records_of_any_text_are_valid(name: str, agent: str) -> None:
    judged = attributes(subject=replace(ALICE, username=name, groups=(name,)))
    arrival = replace(ARRIVAL, user_agent=agent, client_audit_id=agent)
    check(record_of(permit(judged), arrival, session_id=name))


@pytest.mark.parametrize(
    "change",
    [
        {"decision": "maybe"},
        {"cause": "mood"},
        {"seq": 0},
        {"prev": "xyz"},
        {"surplus": 1},
        {"kind": "checkpoint"},
        {"source": {"address": "192.0.2.7", "port": 70000}},
    ],
)
def test_the_schema_refuses_what_is_not_in_it(change: dict[str, Any]) -> None:
    (line,), _ = seal(GENESIS, "0", [msgspec.json.encode(permit_record())])
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(json_schema()).validate({**json.loads(line), **change})


def test_the_shipped_schema_is_that_of_the_code() -> None:
    """To mend: kzproxy log schema > docs/reference/decision-log.schema.json."""
    assert json.loads(SCHEMA_FILE.read_text()) == json_schema()


def fields_of(
    schema: dict[str, Any], definitions: dict[str, Any], prefix: str
) -> Iterator[tuple[str, bool]]:
    """Walk the properties: ``user.name``, ``errors[].rule``, and whether each is always there."""
    for choice in schema.get("anyOf", [schema]):
        if reference := choice.get("$ref"):
            target = definitions[reference.removeprefix("#/$defs/")]
            yield from fields_of(target, definitions, prefix)
        if items := choice.get("items"):
            yield from fields_of(items, definitions, f"{prefix}[]")
        if isinstance(values := choice.get("additionalProperties"), dict):
            yield from fields_of(values, definitions, f"{prefix}.*")
        for name, part in choice.get("properties", {}).items():
            path = f"{prefix}.{name}" if prefix else name
            yield path, name in choice["required"]
            yield from fields_of(part, definitions, path)


def explained_fields() -> Iterator[tuple[str, bool]]:
    """Read the rows of the tables whose first column is called ``field``."""
    in_table_of_fields = False
    for line in DOCUMENT.splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) != 5:
            in_table_of_fields = False
        elif cells[1] == "field":
            in_table_of_fields = True
        elif in_table_of_fields and cells[1].startswith("`"):
            yield cells[1].strip("`"), cells[2] == "always"


def test_every_field_is_explained_and_nothing_else_is() -> None:
    schema = json_schema()
    written = {field for kind in schema["oneOf"] for field in fields_of(kind, schema["$defs"], "")}
    assert set(explained_fields()) == written


@pytest.mark.parametrize("values", [Verdict, Cause, Termination, ContinuedAfter])
def test_every_value_of_a_closed_set_is_explained(values: type[Verdict]) -> None:
    for value in values:
        assert f"`{value.value}`" in DOCUMENT


def test_every_kind_is_explained() -> None:
    for kind in json_schema()["$defs"].values():
        for name in kind.get("properties", {}).get("kind", {}).get("enum", []):
            assert f"### `{name}`" in DOCUMENT

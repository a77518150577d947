from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.attributes.device import Fact
from kzproxy.posture.pointer import MISSING, found_at, parse_pointer
from kzproxy.posture.provider_answer import provider_record
from kzproxy.posture.settings import MappedCheck, ProviderSettings
from kzproxy.posture.source import SourceKind

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
PROVIDER = ProviderSettings(
    name="mdm",
    kind=SourceKind.MDM,
    url="https://mdm/{id}",
    checks=(("firewall", MappedCheck(pointer="/fw", passed=(True, "on", 1), failed=(False, 0))),),
    observed_at="/at",
    os="/os",
)

# RFC 6901 section 5
DOCUMENT = {
    "foo": ["bar", "baz"],
    "": 0,
    "a/b": 1,
    "c%d": 2,
    "e^f": 3,
    "g|h": 4,
    "i\\j": 5,
    'k"l': 6,
    " ": 7,
    "m~n": 8,
}


@pytest.mark.parametrize(
    ("pointer", "value"),
    [
        ("", DOCUMENT),
        ("/foo", ["bar", "baz"]),
        ("/foo/0", "bar"),
        ("/", 0),
        ("/a~1b", 1),
        ("/c%d", 2),
        ("/e^f", 3),
        ("/g|h", 4),
        ("/i\\j", 5),
        ('/k"l', 6),
        ("/ ", 7),
        ("/m~0n", 8),
        ("/foo/2", MISSING),
        ("/foo/-", MISSING),
        ("/foo/-1", MISSING),
        ("/foo/x", MISSING),
        ("/no", MISSING),
        ("/foo/0/0", MISSING),
    ],
)
def test_a_pointer_leads_where_its_rfc_says(pointer, value):
    assert found_at(DOCUMENT, pointer) is value or found_at(DOCUMENT, pointer) == value


@pytest.mark.parametrize("pointer", ["foo", "/a~b", "/a~2", "/~"])
def test_what_is_no_pointer_is_refused(pointer):
    with pytest.raises(ValueError, match=r"must begin|neither"):
        parse_pointer(pointer)


@given(st.lists(st.text(max_size=5), max_size=4))
def test_every_name_can_be_pointed_at(names):
    pointer = "".join("/" + name.replace("~", "~0").replace("/", "~1") for name in names)

    assert parse_pointer(pointer) == tuple(names)


@pytest.mark.parametrize(
    ("value", "fact"),
    [
        (True, Fact.PASSED),
        ("on", Fact.PASSED),
        (1, Fact.PASSED),
        (False, Fact.FAILED),
        (0, Fact.FAILED),
        (1.0, Fact.UNKNOWN),
        ("ON", Fact.UNKNOWN),
        ("true", Fact.UNKNOWN),
        (None, Fact.UNKNOWN),
        ([True], Fact.UNKNOWN),
        ({}, Fact.UNKNOWN),
    ],
)
def test_only_the_values_that_are_named_say_something(value, fact):
    record = provider_record({"fw": value, "at": NOW.isoformat()}, "d", PROVIDER, NOW)

    assert record.checks["firewall"].fact is fact


@pytest.mark.parametrize(
    ("at", "age"),
    [
        ("2026-06-01T11:00:00Z", timedelta(hours=1)),
        ("2026-06-01T11:00:00", timedelta(hours=1)),
        ("2026-06-01T13:30:00+02:00", timedelta(minutes=30)),
        (NOW.timestamp() - 60, timedelta(minutes=1)),
        (int(NOW.timestamp() - 60) * 1000, timedelta(minutes=1)),
        ("2027-01-01T00:00:00Z", timedelta(0)),
    ],
)
def test_a_provider_says_when_it_knew(at, age):
    assert provider_record({"at": at}, "d", PROVIDER, NOW).observed_at == NOW - age


@pytest.mark.parametrize("at", [None, "yesterday", True, [], -1e300, 1e300, float("nan"), ""])
def test_a_time_that_cannot_be_read_is_long_ago(at):
    record = provider_record({"at": at} if at is not None else {}, "d", PROVIDER, NOW)

    assert record.observed_at < NOW - timedelta(days=365)


JSON = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["fw", "at", "os", "x"]), inner)
    ),
    max_leaves=8,
)


@given(JSON)
def test_any_answer_can_be_read_and_is_never_newer_than_now(document):
    assert provider_record(document, "d", PROVIDER, NOW).observed_at <= NOW

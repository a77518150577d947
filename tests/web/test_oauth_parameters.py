"""Parameters have one reading, or none."""

from hypothesis import given
from hypothesis import strategies as st

from kzproxy.web.bounded_form import MAX_FIELDS
from kzproxy.web.oauth_parameters import Parameters

NAMES = st.sampled_from(["code", "state", "csr", "posture", "scope"]) | st.text(max_size=9)


@given(st.lists(st.tuples(NAMES, st.text(max_size=20)), max_size=40))
def test_each_comes_once_or_there_is_a_fault(pairs: list[tuple[str, str]]):
    read = Parameters(pairs)
    names = [name for name, _ in pairs]
    if len(set(names)) != len(names) or len(pairs) > MAX_FIELDS:
        assert read.fault
        return
    assert not read.fault
    for name, value in pairs:
        assert read[name] == value
    assert read.all() == {name: value for name, value in pairs if value}


def test_none_is_long_but_those_that_must_be():
    assert Parameters([("state", "s" * 4097)]).fault == "the parameter 'state' is too long"
    assert not Parameters([("posture", "s" * 40_000)]).fault
    assert Parameters([("csr", "s" * 9000)]).fault


def test_what_is_not_there_is_empty():
    assert Parameters([])["code"] == ""

from urllib.parse import quote_plus, urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.attributes.query import (
    NO_QUERY,
    SINGLE_VALUE_KEYS,
    read_proxied_query,
    read_query,
)
from kzproxy.errors.kinds import BadRequest

PRINTING = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=8)
KEYS = PRINTING.filter(lambda key: key not in SINGLE_VALUE_KEYS)
ENCODED = st.text("aZ09-_.~+&=%!/:@?$'(*,[]ABCDEFabcdef", max_size=30)


@given(st.lists(st.tuples(KEYS, PRINTING), min_size=1))
def test_pairs_survive_being_spelt(pairs):
    query = read_query(urlencode(pairs))
    assert list(query.pairs) == pairs
    assert query.canonical == urlencode(pairs)


@given(ENCODED)
def test_a_query_that_is_kept_is_spelt_as_a_new_spelling_would_be(encoded: str):
    """The short cut for what client-go writes takes no other way than the long one."""
    try:
        query = read_query(encoded)
    except BadRequest:
        return
    spelt = "&".join(f"{quote_plus(key)}={quote_plus(value)}" for key, value in query.pairs)
    assert (query.canonical or "") == spelt
    assert read_query(query.canonical) == query


@pytest.mark.parametrize("code", range(256))
def test_every_byte_has_one_spelling(code):
    for encoded in (f"a=%{code:02X}", f"a=%{code:02x}"):
        if code < 0x20 or code >= 0x7F:
            with pytest.raises(BadRequest):
                read_query(encoded)
        else:
            assert read_query(encoded).canonical == urlencode({"a": chr(code)})


@pytest.mark.parametrize("encoded", [None, "", "&", "&&&"])
def test_an_empty_query_is_none(encoded):
    assert read_query(encoded) == NO_QUERY


@pytest.mark.parametrize("key", sorted(SINGLE_VALUE_KEYS))
def test_a_control_key_is_given_once(key):
    assert read_query(f"a=1&{key}=1&a=2").values[key] == "1"
    for repeated in (f"{key}=1&{key}=1", f"{key}&b=2&%{ord(key[0]):02x}{key[1:]}=2"):
        with pytest.raises(BadRequest, match=f"gives {key} more than once"):
            read_query(repeated)


def test_of_any_other_key_the_first_value_counts_and_all_are_kept():
    query = read_query("command=sh&command=-c&command=id&Watch=1&Watch=2")
    assert query.values == {"command": "sh", "Watch": "1"}
    assert [value for _, value in query.pairs] == ["sh", "-c", "id", "1", "2"]


@pytest.mark.parametrize(
    "value", ["", "1", "00", "no", "t", "TRUE", "%20false", "false%20", "%30+"]
)
def test_a_boolean_is_true_unless_it_says_no(value):
    assert read_query(f"watch={value}").is_true("watch")


@pytest.mark.parametrize("query", ["a=b", "watch=0", "watch=%30", "watch=false", "watch=fALSE"])
def test_a_boolean_is_false_where_absent_zero_or_false(query):
    assert not read_query(query).is_true("watch")


@pytest.mark.parametrize("key", ["watch", "follow"])
def test_a_boolean_that_is_not_ascii_is_refused(key):
    """U+017F, which Go's EqualFold takes for an s and its ToLower does not."""
    with pytest.raises(BadRequest, match="not ASCII"):
        read_query(f"{key}=fal%C5%BFe")


def test_a_boolean_stands_beside_what_is_not_ascii():
    query = read_query("watch=true&labelSelector=owner%3DZo%C3%AB")
    assert query.is_true("watch")
    assert query.values["labelSelector"] == "owner=Zoë"


def test_only_a_command_holds_control_bytes():
    assert read_query("command=a%0A%09%1b").pairs == (("command", "a\n\t\x1b"),)
    for query in ("container=a%0A", "command=%00", "%0a=b", "Command=%0a"):
        with pytest.raises(BadRequest):
            read_query(query)


@pytest.mark.parametrize("encoded", ["a", "a=%2f&a", "&&a=1&", "watch=1&watch=2", "a=%0a%1b", "?"])
def test_the_query_of_a_backend_is_sent_as_it_came(encoded):
    assert read_proxied_query(encoded).canonical == encoded


def test_the_query_of_a_backend_is_read_all_the_same():
    query = read_proxied_query("b+c=%41&b+c&d")
    assert query.pairs == (("b c", "A"), ("b c", ""), ("d", ""))
    assert query.values == {"b c": "A", "d": ""}


@pytest.mark.parametrize("encoded", ["a;b", "%", "a=%g0", "a=%00", "%E9"])
def test_the_query_of_a_backend_has_one_reading_too(encoded):
    with pytest.raises(BadRequest):
        read_proxied_query(encoded)


def test_no_question_mark_is_not_an_empty_query_for_a_backend():
    assert read_proxied_query(None).canonical is None
    assert read_proxied_query("").canonical == ""


@pytest.mark.parametrize("query", ["eyJTOKEN%01", "eyJTOKEN%0a=x", "eyJTOKEN=%00", "x=eyJTOKEN%01"])
def test_nothing_of_a_query_is_told_that_is_refused(query):
    """A name may be a token too, without a name of its own, and the decision log keeps none."""
    with pytest.raises(BadRequest) as refused:
        read_query(query)
    assert "eyJTOKEN" not in refused.value.message + refused.value.detail

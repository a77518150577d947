import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.attributes.request_info import RequestInfo
from kzproxy.attributes.target import (
    MAX_TARGET_BYTES,
    check_suffix,
    decode_segment,
    encode_segment,
    split_target,
)
from kzproxy.errors.kinds import BadRequest

UNTOUCHED = string.ascii_letters + string.digits + "-_.~$&+,:;=@!'()*"
IN_A_TARGET = UNTOUCHED + "%/?[]"


@pytest.mark.parametrize("code", range(256))
def test_a_target_holds_the_bytes_of_a_uri_and_no_other(code):
    target = f"/a{chr(code)}b"
    if chr(code) in IN_A_TARGET:
        path, _ = split_target(target)
        assert target.startswith(path)
    else:
        with pytest.raises(BadRequest):
            split_target(target)


@pytest.mark.parametrize("code", range(256))
def test_a_segment_decodes_to_ascii_that_cannot_be_taken_for_syntax(code):
    for encoded in (f"a%{code:02x}", f"a%{code:02X}"):
        if 0x20 <= code < 0x7F and chr(code) not in "/%\\":
            assert decode_segment(encoded) == "a" + chr(code)
        else:
            with pytest.raises(BadRequest):
                decode_segment(encoded)


@pytest.mark.parametrize("code", range(0x20, 0x7F))
def test_a_segment_is_spelt_as_go_spells_it(code):
    character = chr(code)
    expected = character if character in UNTOUCHED else f"%{code:02X}"
    assert encode_segment(character) == expected


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E, exclude_characters="/%\\")))
def test_a_segment_survives_being_spelt(segment: str):
    if segment in {".", ".."}:
        with pytest.raises(BadRequest):
            decode_segment(encode_segment(segment))
    else:
        assert decode_segment(encode_segment(segment)) == segment


@pytest.mark.parametrize("encoded", [".", "..", "%2e", "%2E.", ".%2e", "%2e%2E"])
def test_a_dot_segment_is_refused_in_every_spelling(encoded):
    with pytest.raises(BadRequest, match="dot segment"):
        decode_segment(encoded)


@pytest.mark.parametrize("encoded", ["...", ".a", "a..", "%2e%2e%2e"])
def test_a_name_may_begin_with_dots(encoded):
    assert decode_segment(encoded) == encoded.replace("%2e", ".")


@pytest.mark.parametrize("encoded", ["%", "a%", "%2", "%2g", "%%41", "%-1", "% 1", "%+1"])
def test_a_percent_needs_two_hexadecimal_digits(encoded):
    for check in (decode_segment, check_suffix):
        with pytest.raises(BadRequest, match="hexadecimal"):
            check(encoded)


@pytest.mark.parametrize(
    ("target", "path", "query"),
    [
        ("/", "/", None),
        ("/a?", "/a", ""),
        ("/a?b", "/a", "b"),
        ("/a?b?c=/?", "/a", "b?c=/?"),
        ("/?/../", "/", "/../"),
    ],
)
def test_the_query_begins_at_the_first_question_mark(target, path, query):
    assert split_target(target) == (path, query)


def test_the_bound_is_inclusive():
    assert split_target("/" + "a" * (MAX_TARGET_BYTES - 1))
    with pytest.raises(BadRequest, match="over 8192 bytes"):
        split_target("/" + "a" * MAX_TARGET_BYTES)


def test_a_target_ends_where_its_grammar_does():
    """A pattern that ends in ``$`` would let this line end through."""
    with pytest.raises(BadRequest):
        split_target("/api\n")


@pytest.mark.parametrize("encoded", ["/%00", "/%1f", "/a%7Fb", "/%0d%0A"])
def test_a_proxied_path_holds_no_control_byte(encoded):
    with pytest.raises(BadRequest, match="control byte"):
        check_suffix(encoded)


@pytest.mark.parametrize("encoded", ["", "/", "//..", "/%2F%2e%5C%25", "/%c3%a9", "/%E9"])
def test_a_proxied_path_is_the_backend_s_otherwise(encoded):
    check_suffix(encoded)


@pytest.mark.parametrize(
    "target",
    [
        "/api/v1/pods?access_token=s3cret;a=b",
        "/api/v1/pods?access_token=s3cret%",
        "/api/v1/pods?access_token=s3cret%FF",
        "/api/v1/pods?access_token=s3cret%0A",
        "/api/v1/pods?command=s3cret%00",
        "/api/v1/pods?access_token=s3cret|",
        "/api/v1/pods?access_token=s3cret#a",
        "/api/v1/pods#access_token=s3cret",
        "//api/v1/pods?access_token=s3cret",
        "api/v1/pods?access_token=s3cret",
        "/api/v1/namespaces/a/services/s/proxy/?access_token=s3cret;",
        "/api/v1/namespaces/a/services/s/proxy/?access_token=s3cret%00",
        "/api/v1/pods?watch=s3cret%C5%BF",
    ],
)
def test_what_is_said_of_a_refused_target_tells_nothing_of_its_query(target: str) -> None:
    with pytest.raises(BadRequest) as refused:
        RequestInfo.parse("GET", target)
    assert "s3cret" not in refused.value.message + refused.value.detail

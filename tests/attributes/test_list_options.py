from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.attributes.list_options import selected_name
from kzproxy.attributes.query import read_query
from kzproxy.errors.kinds import BadRequest


def name_of(**options: str) -> str:
    return selected_name(read_query(urlencode(options)))


@pytest.mark.parametrize(
    ("selector", "name"),
    [
        ("metadata.name=s1", "s1"),
        ("metadata.name==s1", "s1"),
        ("status.phase!=Failed,metadata.name=s1", "s1"),
        (",metadata.name=s1,,", "s1"),
        ("metadata.name=b,metadata.name=a", "a"),
        ("metadata.name=b,metadata.name==a", "a"),
        ("metadata.name!=a,metadata.name=b", "b"),
        ("metadata.name=,metadata.name=b", ""),
        (r"metadata.name=a\,b", "a,b"),
        (r"metadata.name=a\=b\\", "a=b\\"),
        (r"a\,metadata.name=s1", ""),
        ("metadata.name=a b", "a b"),
        ("metadata.name=é", "é"),
        ("metadata.name!=s1", ""),
        ("metadata.name=", ""),
        ("metadata.name=.", ""),
        ("metadata.name=..", ""),
        ("metadata.name=a/b", ""),
        ("metadata.name=a%", ""),
        (" metadata.name=s1", ""),
        ("Metadata.name=s1", ""),
        ("metadata.namespace=s1", ""),
        ("=", ""),
        (",", ""),
        ("", ""),
    ],
)
def test_the_name_is_what_the_first_sorted_term_requires(selector, name):
    assert name_of(fieldSelector=selector) == name


@pytest.mark.parametrize(
    "selector",
    [
        "a",
        "a=b,c",
        "a=b=c",
        "a=!=b",
        "a===b",
        r"a=\b",
        "a=b\\",
        r"a=\\\b",
        "!",
        "a!b",
        r"\,",
        ",\\",
    ],
)
def test_a_field_selector_that_go_cannot_read_is_refused(selector):
    with pytest.raises(BadRequest, match="fieldSelector cannot be read"):
        name_of(fieldSelector=selector)


@pytest.mark.parametrize(
    "selector",
    [
        "",
        " ",
        "a",
        "!a",
        "! a , b",
        "a=b,c==d,e!=f",
        "a=",
        "a=,b",
        "a = b",
        "a in (b)",
        "a  in( b , c )",
        "a notin ()",
        "a in (,)",
        "a in (,b,,c,)",
        "in in (in,notin)",
        "a=in",
        "a>1,b < 2",
        "example.com/a_b.C-d=E_f.g-h",
        "a" * 63 + "=" + "b" * 63,
        "a." * 126 + "a/b",
    ],
)
def test_a_label_selector_beside_a_name_may_be_any_that_kubectl_writes(selector):
    assert name_of(fieldSelector="metadata.name=s1", labelSelector=selector) == "s1"


@pytest.mark.parametrize(
    "selector",
    [
        ",",
        "a,",
        ",a",
        "a,,b",
        "a b",
        "a in",
        "a in b",
        "a in (b",
        "a in (b c)",
        "ain (b)",
        "a in ((b))",
        "!a=b",
        "!!a",
        "!",
        "a===b",
        "a=b=c",
        "a=!b",
        "a>",
        "a>b",
        "a>-1",
        "a><1",
        "-a",
        "a-",
        "a=-b",
        "a=b-",
        "é",
        "a=é",
        "/a",
        "a/",
        "A/b",
        "a..b/c",
        "-a/b",
        "a" * 64,
        "a=" + "b" * 64,
        "a." * 126 + "aa/b",
    ],
)
def test_a_label_selector_that_go_cannot_read_is_refused_beside_a_name_only(selector):
    with pytest.raises(BadRequest, match="labelSelector"):
        name_of(fieldSelector="metadata.name=s1", labelSelector=selector)
    assert name_of(fieldSelector="status.phase=Running", labelSelector=selector) == ""
    assert name_of(labelSelector=selector) == ""


@pytest.mark.parametrize("key", ["limit", "timeoutSeconds"])
def test_a_number_is_one_for_go(key):
    for text in ("0", "-1", "+500", "007", str(2**63 - 1)):
        assert name_of(**{key: text}) == ""
    for text in (
        "",
        "abc",
        "1.0",
        "1_0",
        "0x1",
        " 1",
        "1 ",
        "--1",
        "\u0663",
        str(2**63),
        "9" * 5000,
    ):
        with pytest.raises(BadRequest, match=f"{key} a value that is not an integer"):
            name_of(**{key: text})


@given(st.text("ab./-_!=<>(),in \\", max_size=60), st.text("abcmetadata.name=!,\\", max_size=60))
def test_any_selector_is_read_or_refused(label: str, field: str):
    try:
        name = name_of(labelSelector=label, fieldSelector=f"{field},metadata.name=x")
    except BadRequest:
        return
    assert "/" not in name

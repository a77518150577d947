import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.expressions.source import operands


@pytest.mark.parametrize(
    ("text", "operator", "parts"),
    [
        ("a && b", "&&", ("a", "b")),
        ("a && b || c", "||", ("a && b", "c")),
        ("(a || b) && c", "&&", ("(a || b)", "c")),
        ("((a || b))", "||", ("a", "b")),
        ("(a) || (b)", "||", ("(a)", "(b)")),
        ("a", "", ("a",)),
        ("!(a && b)", "!", ("(a && b)",)),
        ("!a.b == !c", "==", ("!a.b", "!c")),
        ("!a", "!", ("a",)),
        ("c ? a && b : d", "?:", ("c", "a && b", "d")),
        ("a ? b ? c : d : e ? f : g", "?:", ("a", "b ? c : d", "e ? f : g")),
        ("a[?'x'] < b", "<", ("a[?'x']", "b")),
        ("a.b <= -c", "<=", ("a.b", "-c")),
        ('"x" in a.b', "in", ('"x"', "a.b")),
        ("'<' != a", "!=", ("'<'", "a")),
        ("within.a(b == c)", "", ("within.a(b == c)",)),
        ("a == b == c", "", ("a == b == c",)),
        ("a + b", "", ("a + b",)),
        ("x.exists(y, y && z)", "", ("x.exists(y, y && z)",)),
        ("'a && b' == c && \"||\" == d", "&&", ("'a && b' == c", '"||" == d')),
        (r"r'\' == c && d", "&&", (r"r'\' == c", "d")),
        (r"'\'' == c && d", "&&", (r"'\'' == c", "d")),
        ("'''a ' && b''' == c || d", "||", ("'''a ' && b''' == c", "d")),
        ("a // b || c\n && d", "&&", ("a // b || c", "d")),
        ("m.?x.orValue(a) && b", "&&", ("m.?x.orValue(a)", "b")),
        ("m[?'x'].orValue(a) && b", "&&", ("m[?'x'].orValue(a)", "b")),
    ],
)
def test_an_expression_falls_apart_at_its_loosest_operator(
    text: str, operator: str, parts: tuple[str, ...]
) -> None:
    assert operands(text) == (operator, parts)


@given(st.text(alphabet="ab&|()[]{}'\"\\ ?:.r\n/!=<>in", max_size=40))
def test_any_text_falls_apart_or_does_not(text: str) -> None:
    operator, parts = operands(text)
    assert (operator in ("", "!")) == (len(parts) == 1)
    assert all(part in text for part in parts)

"""What comes from outside cannot act on whoever reads the log."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.audit.visible import MASK, logged_raw_target, logged_target, visible, visible_all

BIDI = "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


@given(st.text(st.characters(codec=None), max_size=200))
def test_nothing_that_does_not_print_is_left(text: str) -> None:
    """Any text at all, lone surrogates included, becomes printable, and can be encoded."""
    shown = visible(text, 100)
    assert shown.isprintable()
    shown.encode("utf-8")


@given(st.text(max_size=100).filter(str.isprintable))
def test_printable_text_within_the_limit_stays_as_it_is(text: str) -> None:
    assert visible(text, 100) == text


@pytest.mark.parametrize(
    "char", [*map(chr, range(0x20)), *map(chr, range(0x7F, 0xA0)), *BIDI, "\u2028", "\ufeff"]
)
def test_every_control_and_bidirectional_character_is_escaped(char: str) -> None:
    assert unicodedata.category(char) in {"Cc", "Cf", "Zl"}
    assert visible(f"a{char}b").startswith("a\\")
    assert visible(f"a{char}b").endswith("b")


def test_escapes_name_the_character() -> None:
    assert visible("x\n\x1b]0;\x9b\u202e") == r"x\n\x1b]0;\x9b\u202e"


@given(st.text(min_size=11, max_size=300))
def test_long_text_is_cut_and_says_by_how_much(text: str) -> None:
    assert visible(text, 10) == f"{visible(text[:10])}...[{len(text) - 10} more]"


def test_long_lists_are_cut() -> None:
    assert len(visible_all(tuple("x" * 2000))) == 1000


EXEC = "/api/v1/namespaces/a/pods/p/exec"


@pytest.mark.parametrize(
    ("target", "logged"),
    [
        (f"{EXEC}?command=mysql&command=-psecret", f"{EXEC}?command=mysql&command={MASK}"),
        (f"{EXEC}?command=sh&stdin=true&command=x", f"{EXEC}?command=sh&stdin=true&command={MASK}"),
        (f"{EXEC}?comm%61nd=sh&command=x", f"{EXEC}?comm%61nd=sh&command={MASK}"),
        ("/api?access_token=abc", f"/api?{MASK}"),
        ("/api?eyJTOKEN", f"/api?{MASK}"),
        ("/api?limit=5&eyJTOKEN==&watch", f"/api?limit=5&{MASK}&watch"),
        ("/api?%6Cimit=5&&", "/api?%6Cimit=5&&"),
        ("/api?limit=5&watch", "/api?limit=5&watch"),
        ("/api?labelSelector=a%3Db&timeoutSeconds=3", "/api?labelSelector=a%3Db&timeoutSeconds=3"),
        ("/api?", "/api?"),
        ("/api", "/api"),
    ],
)
def test_only_the_first_word_of_a_command_and_known_parameters_are_kept(
    target: str, logged: str
) -> None:
    assert logged_target(target) == logged


@pytest.mark.parametrize("query", ["limit=secret", "eyJTOKEN.abc&sig=secret", "watch", "a=b?c"])
def test_a_query_for_another_application_is_masked_whole(query: str) -> None:
    path = "/api/v1/namespaces/a/services/s/proxy/q"
    assert logged_target(f"{path}?{query}", of_another_application=True) == f"{path}?{MASK}"
    assert logged_target(f"{path}?", of_another_application=True) == f"{path}?"


def test_of_kzproxys_own_endpoints_their_own_parameters_are_kept_and_no_others() -> None:
    query = "user=idp%3Aolga&device=d1&message=lost&ended=true&state=pending&access_token=x&watch=1"
    assert logged_target(f"/kzproxy.dev/v1/sessions?{query}", is_own=True) == (
        "/kzproxy.dev/v1/sessions?user=idp%3Aolga&device=d1&message=lost&ended=true&state=pending"
        f"&{MASK}&{MASK}"
    )
    assert logged_target("/api?user=x&message=y") == f"/api?{MASK}&{MASK}"


def test_of_a_target_that_could_not_be_read_no_query_is_kept() -> None:
    assert logged_raw_target("/a\x00b?token=secret") == rf"/a\x00b?{MASK}"


@given(st.lists(st.text(st.characters(codec="ascii", exclude_characters="&=?"), min_size=1)))
def test_nothing_of_an_unknown_parameter_survives(values: list[str]) -> None:
    query = "&".join(f"token=SECRET{value}&SECRET{value}" for value in values)
    assert "SECRET" not in logged_target(f"/x?{query}")


@pytest.mark.parametrize("mark", ["?", "#", "#a?", "?a#"])
def test_of_a_target_that_could_not_be_read_only_the_path_is_kept(mark: str) -> None:
    shown = logged_raw_target(f"/api/v1/pods{mark}access_token=s3cret")
    assert shown == f"/api/v1/pods{mark[0]}***"

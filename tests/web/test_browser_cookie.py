"""One browser is told from another, and from one that has shown nothing."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from kzproxy.web.browser_cookie import (
    COOKIE,
    browser_value,
    check_browser,
    check_form,
    form_token,
    remembered_in,
    value_or_new,
)
from kzproxy.web.oauth_errors import OtherBrowser
from kzproxy.web.sign_in_flows import digest

MINE, ANOTHER = "m" * 43, "a" * 43
PURPOSE = "type the code"


def showing(value: str | None) -> web.Request:
    headers = {} if value is None else {"Cookie": f"{COOKIE}={value}"}
    return make_mocked_request("POST", "/device", headers=headers)


def test_the_cookie_is_for_this_host_and_for_tls_alone_and_no_script_reads_it() -> None:
    cookie = remembered_in(web.Response(), MINE).cookies[COOKIE]

    assert COOKIE.startswith("__Host-")
    assert (cookie.value, cookie["path"], cookie["domain"]) == (MINE, "/", "")
    assert (cookie["secure"], cookie["httponly"], cookie["samesite"]) == (True, True, "Lax")
    assert int(cookie["max-age"]) <= 3600


@pytest.mark.parametrize("value", [None, "", "short", MINE + "x", MINE[:-1] + "!"])
def test_what_is_not_as_it_was_given_out_is_no_value(value: str | None) -> None:
    assert browser_value(showing(value)) == ""
    fresh = {value_or_new(showing(value)) for _ in range(2)}
    assert len(fresh) == 2
    assert all(len(one) == 43 for one in fresh)


def test_the_browser_that_it_began_in_is_let_on() -> None:
    check_browser(showing(MINE), digest(MINE))
    check_form(showing(MINE), form_token(MINE, PURPOSE), PURPOSE)
    assert value_or_new(showing(MINE)) == MINE


@pytest.mark.parametrize("shown", [None, "", "short", ANOTHER])
def test_another_browser_is_not(shown: str | None) -> None:
    """Nor is one without a value, of which anybody could make what a form must hold."""
    for value in (MINE, "", "short"):
        with pytest.raises(OtherBrowser):
            check_browser(showing(shown), digest(value))
        with pytest.raises(OtherBrowser):
            check_form(showing(shown), form_token(value, PURPOSE), PURPOSE)


@pytest.mark.parametrize(
    "token", ["", "ä", form_token(MINE, "BBBB-BBBB"), form_token(ANOTHER, PURPOSE)]
)
def test_a_form_is_for_what_it_was_shown_for(token: str) -> None:
    with pytest.raises(OtherBrowser):
        check_form(showing(MINE), token, PURPOSE)

"""What goes with every answer of the sign-in listener."""

import pytest
from aiohttp import web
from jinja2 import UndefinedError

from kzproxy.web.sign_in_pages import Pages, add_security_headers


@pytest.mark.parametrize(
    ("host", "held"),
    [
        ("kzproxy.example.com", True),
        ("kzproxy.example.com:8444", True),
        ("localhost:8444", False),
        ("kzproxy.localhost", False),
    ],
)
def test_a_name_is_held_to_tls_unless_it_is_this_machine(host: str, held: bool):
    response = web.Response()
    add_security_headers(response, host)
    assert ("Strict-Transport-Security" in response.headers) is held


def test_what_a_page_shows_is_escaped():
    page = Pages(host="h").message("<b>", "<script>alert(1)</script>")
    assert page.text is not None
    assert "<script>" not in page.text
    assert "&lt;script&gt;" in page.text


def test_a_page_leads_on_by_itself_and_by_a_link():
    url = 'http://127.0.0.1:1/callback?code=a&state="><script>'
    page = Pages(host="h").onward("t", "x", url)
    assert page.text is not None
    assert "<script>" not in page.text
    assert page.text.count("http://127.0.0.1:1/callback?code=a&amp;state=&#34;&gt;") == 2


def test_a_value_that_is_missing_is_an_error():
    with pytest.raises(UndefinedError):
        Pages(host="h").page("code")

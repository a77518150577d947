"""Answers go to registered addresses only."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kzproxy.demo.idp_clients import KZPROXY_CLIENT

GOOD = "http://127.0.0.1:39251/callback"


@pytest.mark.parametrize("port", [1, 80, 39251, 65535])
def test_any_loopback_port_is_accepted(port):
    assert KZPROXY_CLIENT.accepts_redirect(f"http://127.0.0.1:{port}/callback")


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "/callback",
        "http://localhost:39251/callback",
        "http://127.0.0.2:39251/callback",
        "http://127.0.0.1:0x50/callback",
        "http://127.0.0.1:+80/callback",
        "http://127.0.0.1:080/callback",
        "http://127.0.0.1:/callback",
        "http://127.0.0.1:65536/callback",
        "http://127.0.0.1:80/callback/",
        "http://127.0.0.1:80/callback\t",
        "http://127.0.0.1:80\\@evil.example/callback",
        "http://user@127.0.0.1:80/callback",
        "HTTP://127.0.0.1:80/callback",
        "http://127.0.0.1:80/callback;x",
        "http://127.0.0.1:80/callback?x=y",
        "http://127.0.0.1:80/callback#x",
        "https://127.0.0.1:80/callback",
    ],
)
def test_nothing_that_merely_looks_alike_is_accepted(uri):
    assert not KZPROXY_CLIENT.accepts_redirect(uri)


@given(st.integers(0, len(GOOD)), st.text(min_size=1, max_size=3))
@example(21, "0")
def test_a_changed_address_differs_in_its_port_or_is_refused(place, inserted):
    uri = GOOD[:place] + inserted + GOOD[place:]
    if KZPROXY_CLIENT.accepts_redirect(uri):
        assert uri.startswith("http://127.0.0.1:")
        port = uri.removeprefix("http://127.0.0.1:").partition("/")[0]
        assert uri == f"http://127.0.0.1:{int(port)}/callback"

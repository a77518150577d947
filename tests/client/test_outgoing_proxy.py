"""Which proxy leads out."""

import pytest

from kzproxy.client.outgoing_proxy import (
    AS_BROWSERS,
    AS_KUBECTL,
    OutgoingProxy,
    UnusableProxy,
    environment_proxy,
)


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy is named but by the test."""
    for name in ("HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def named(host: str, kinds: tuple[str, ...] = AS_KUBECTL) -> str:
    """Return the URL of the proxy to port 8443 of ``host``, or nothing."""
    found = environment_proxy(host, 8443, kinds)
    return found.url.geturl() if found else ""


@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
@pytest.mark.parametrize("value", ["http://proxy.test:3128", "proxy.test:3128"])
def test_a_variable_names_the_proxy(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert named("kz.test") == "http://proxy.test:3128"


def test_where_none_is_named_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert named("kz.test") == ""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.test")
    assert named("kz.test", AS_BROWSERS) == ""


def test_the_variable_for_all_counts_after_that_for_https_and_not_for_kubectl(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5h://all.test:1080")
    assert named("kz.test") == ""
    assert named("kz.test", AS_BROWSERS) == "socks5h://all.test:1080"
    monkeypatch.setenv("HTTPS_PROXY", "http://https.test")
    assert named("kz.test", AS_BROWSERS) == "http://https.test"


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1"])
def test_this_machine_is_asked_without_a_proxy(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test")
    assert named(host) == ""


@pytest.mark.parametrize(
    ("exceptions", "host", "straight"),
    [
        ("kz.test", "kz.test", True),
        ("kz.test", "KZ.test", True),
        ("kz.test", "a.kz.test", True),
        ("kz.test", "xkz.test", False),
        (".test", "kz.test", True),
        ("*.test", "kz.test", True),
        ("*.test", "kz.other", False),
        ("a,*", "kz.test", True),
        ("*", "192.0.2.7", True),
        ("kz.test:8443", "kz.test", True),
        ("kz.test:443", "kz.test", False),
        ("192.0.2.7", "192.0.2.7", True),
        ("a, 192.0.2.0/24", "192.0.2.7", True),
        ("192.0.2.1/24", "192.0.2.7", True),
        ("192.0.2.0/24", "192.0.3.7", False),
        ("192.0.2.0/24", "kz.test", False),
        ("fd00::/8", "fd00::7", True),
        ("fd00::/8", "2001:db8::1", False),
        ("FD00:0::7", "fd00::7", True),
        ("::1/128", "kz.test", False),
        ("fd00::/8,[,::,a/b,/", "kz.test", False),
        (".kz.test", "kz.test", False),
        (".kz.test", "a.kz.test", True),
        ("*.kz.test", "kz.test", False),
        ("*.kz.test:8443", "a.kz.test", True),
        ("*.kz.test:443", "a.kz.test", False),
        ("*kz.test", "a.kz.test", False),
        (":8443,.", "kz.test", False),
        ("192.0.2.7:8443", "192.0.2.7", True),
        ("192.0.2.7:443", "192.0.2.7", False),
        ("::ffff:192.0.2.7", "192.0.2.7", True),
        ("192.0.2.0/255.255.255.0", "192.0.2.7", False),
        ("[fd00::7]:8443", "fd00::7", True),
        ("[fd00::7]:443", "fd00::7", False),
        ("fd00::7:8443", "fd00::7", False),
    ],
)
def test_some_hosts_are_asked_without_a_proxy(
    monkeypatch: pytest.MonkeyPatch, exceptions: str, host: str, *, straight: bool
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test")
    monkeypatch.setenv("NO_PROXY", exceptions)
    assert named(host) == ("" if straight else "http://proxy.test")


@pytest.mark.parametrize(
    "value",
    [
        *("socks4://proxy.test", "http://", "http://proxy.test:abc", "http://proxy.test:65536"),
        *("http://[::1", "ftp://proxy.test", "://", ":3128", "http://a b", "http://a:0", "\x1b"),
        "http://user:se:cret/word@proxy.test:3128",
    ],
)
def test_a_proxy_that_cannot_be_used_is_told_by_its_variable_without_its_password(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", value)
    with pytest.raises(UnusableProxy, match=r"^HTTPS_PROXY names no proxy") as failure:
        named("kz.test")
    assert "cret" not in str(failure.value)
    monkeypatch.setenv("NO_PROXY", "kz.test")
    assert named("kz.test") == "", "it is not needed"


def test_a_proxys_user_is_read_as_it_is_escaped() -> None:
    proxy = OutgoingProxy.parse("http://a%40b:p%3Aw@proxy.test", "HTTPS_PROXY")
    assert proxy.user == ("a@b", "p:w")
    assert "p%3Aw" not in repr(proxy)
    assert OutgoingProxy.parse("proxy.test", "HTTPS_PROXY").user is None

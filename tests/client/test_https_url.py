"""What an https URL leads to."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.client.https_url import host_and_port


@pytest.mark.parametrize(
    ("url", "leads_to"),
    [
        ("https://a", ("a", 443)),
        ("https://a.test.:8443/x/y", ("a.test.", 8443)),
        ("https://a:/", ("a", 443)),
        ("HTTPS://a:65535", ("a", 65535)),
        ("https://192.0.2.7:1", ("192.0.2.7", 1)),
        ("https://[2001:db8::1]", ("2001:db8::1", 443)),
        ("https://[2001:db8::1]:8443/", ("2001:db8::1", 8443)),
        ("https://somebody@a:1", ("a", 1)),
        (f"https://{'a' * 63}.test", (f"{'a' * 63}.test", 443)),
    ],
)
def test_a_url_leads_to_a_host_and_a_port(url: str, leads_to: tuple[str, int]) -> None:
    assert host_and_port(url) == leads_to
    parts = urlsplit(url)
    assert (parts.hostname, parts.port or 443) == leads_to


@pytest.mark.parametrize(
    "url",
    [
        *("", "a", "https:", "https://", "https:///x", "https://:1", "http://a", "https://@"),
        *("https://a:abc", "https://a:0", "https://a:65536", "https://a:-1", "https://a:٣"),
        *("https://a:1:2", "https://::1", "https://[::1", "https://[::1]x", "https://[x]:1"),
        *("https://[192.0.2.7]", "https://[]", "https://a..b", "https://.a"),
        *(f"https://{'a' * 64}.test", "https://a?b", "https://a#b", "https://a b", "https://a\n"),
        *("https://a\x1b", "https://\udcff"),
    ],
)
def test_what_leads_nowhere_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        host_and_port(url)


@given(st.text(st.sampled_from("a1.:[]/@?#%- \n"), max_size=12))
def test_any_text_is_read_as_urllib_does_or_refused(text: str) -> None:
    url = f"https://{text}"
    try:
        host, port = host_and_port(url)
    except ValueError:
        return
    parts = urlsplit(url)
    assert (parts.hostname, parts.port or 443) == (host, port)

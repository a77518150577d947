"""The browser's way; all of it over a real provider is in tests/server/test_sign_in.py."""

from urllib.parse import urlencode

import pytest
from aiohttp.test_utils import make_mocked_request

from kzproxy.web.oauth_errors import PageRefusal
from kzproxy.web.sign_in_browser import BrowserSignIn
from kzproxy.web.sign_in_desk import SignInDesk

WISH = {
    "client_id": "kzproxy-cli",
    "response_type": "code",
    "redirect_uri": "http://127.0.0.1:39111/callback",
    "code_challenge": "c" * 43,
    "code_challenge_method": "S256",
}


async def test_where_no_provider_is_left_nobody_can_sign_in(desk: SignInDesk) -> None:
    """As after a reload of a configuration without `signIn`, until the restart that it takes."""
    request = make_mocked_request("GET", f"/authorize?{urlencode(WISH)}")
    with pytest.raises(PageRefusal, match="no identity provider") as refused:
        await BrowserSignIn(desk).authorize(request)
    assert refused.value.status == 503

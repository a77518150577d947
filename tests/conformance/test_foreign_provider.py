"""A provider that is not ours passes the checks too: they ask for what providers do, not for ours.

npm's oidc-provider, with its own sign-in pages.
"""

from collections.abc import Iterator
from urllib.parse import parse_qs, urljoin, urlsplit

import httpx
import pytest

from tests.conformance.oidc_provider import CHECKS, Check, ProviderUnderTest, check_provider
from tests.servers.authority import Authority
from tests.servers.foreign_idp.page_agent import MAX_PAGES, PageForm
from tests.servers.foreign_idp.process import running_foreign_idp


async def press_through(client: httpx.AsyncClient, url: str, user: str) -> str:
    """Sign in and consent at oidc-provider's development pages; type no code by itself."""
    user_code = parse_qs(urlsplit(url).query).get("user_code", [""])[0]
    response = await client.get(url)
    for _ in range(MAX_PAGES):
        if response.is_redirect:
            target = urljoin(str(response.url), response.headers["location"])
            if urlsplit(target).netloc != urlsplit(url).netloc:
                return target
            response = await client.get(target)
            continue
        form = PageForm(response.text)
        if form.action is None:
            return ""
        data = filled(form.fields, user, user_code)
        response = await client.post(urljoin(str(response.url), form.action), data=data)
    raise AssertionError(f"still no end after {MAX_PAGES} pages")


def filled(fields: dict[str, str], user: str, user_code: str) -> dict[str, str]:
    if fields.get("prompt") == "login":
        return {**fields, "login": user, "password": "any"}
    if "user_code" in fields:
        return {**fields, "confirm": "yes"}
    if "xsrf" in fields:
        return {**fields, "user_code": user_code}
    return fields


@pytest.fixture(scope="module")
def foreign(tmp_path_factory) -> Iterator[ProviderUnderTest]:
    directory = tmp_path_factory.mktemp("foreign")
    authority = Authority.root()
    certificate_file, private_key_file = authority.server("localhost").write_to(directory, "idp")
    (directory / "ca.crt").write_bytes(authority.pem)
    with running_foreign_idp(
        directory,
        certificate_file=certificate_file,
        private_key_file=private_key_file,
        ca_file=directory / "ca.crt",
    ) as idp:
        yield ProviderUnderTest(
            issuer=idp.issuer,
            ca_file=idp.ca_file,
            client_id="kzproxy",
            user="alice",
            press_through=press_through,
            approve_device=press_through,
            claims={
                "sub": "alice",
                "preferred_username": "alice",
                "groups": ["developers"],
                "email": "alice@example.test",
                "email_verified": True,
            },
        )


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_a_foreign_provider_conforms(check: Check, foreign: ProviderUnderTest):
    await check_provider(foreign, check)

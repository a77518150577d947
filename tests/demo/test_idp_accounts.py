"""People of the demo provider can be disabled and moved, and everything it says of them follows."""

import re

import httpx
import pytest

from kzproxy.demo.idp_accounts import MAX_GROUPS, Accounts
from kzproxy.demo.idp_users import DEMO_USERS
from kzproxy.demo.page_agent import PageAgentFailure


async def test_a_moved_person_has_their_new_groups_everywhere(talk, idp):
    tokens = await talk.signed_in()
    idp.accounts.move("operator", ("guests",))
    assert (await talk.userinfo(tokens["access_token"])).json()["groups"] == ["guests"]
    renewed = (await talk.refresh(tokens["refresh_token"])).json()
    assert (await talk.verified(renewed["id_token"]))["groups"] == ["guests"]


async def test_a_disabled_account_opens_nothing_until_it_is_enabled(talk, idp):
    tokens = await talk.signed_in()
    idp.accounts.disable("operator")
    assert (await talk.userinfo(tokens["access_token"])).status_code == 401
    assert (await talk.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"
    with pytest.raises(PageAgentFailure, match="403"):
        await talk.signed_in()
    idp.accounts.enable("operator")
    assert (await talk.userinfo(tokens["access_token"])).status_code == 200
    assert (await talk.refresh(tokens["refresh_token"])).status_code == 200
    await talk.signed_in()


async def test_a_disabled_account_lets_no_terminal_in(talk, idp, under_test):
    idp.accounts.disable("operator")
    begun = await talk.begin_device()
    with pytest.raises(PageAgentFailure, match="403"):
        await under_test.approve_device(
            talk.http, begun["verification_uri_complete"], under_test.user
        )


async def change(talk, idp, **fields: str) -> httpx.Response:
    page = await talk.http.get(f"{idp.issuer}/accounts")
    token = re.search(r'name="form_token" value="(\w+)"', page.text)
    assert token
    return await talk.http.post(
        f"{idp.issuer}/accounts", data={"form_token": token[1], "name": "operator", **fields}
    )


async def test_the_page_disables_enables_and_moves(talk, idp):
    operator = DEMO_USERS[1]
    assert (await change(talk, idp, change="disable")).status_code == 303
    assert not idp.accounts.is_enabled("operator")
    assert "disabled</span>" in (await talk.http.get(f"{idp.issuer}/accounts")).text
    assert (await change(talk, idp, change="enable")).status_code == 303
    assert idp.accounts.is_enabled("operator")
    await change(talk, idp, change="move", groups="guests, on-call guests")
    assert idp.accounts.present(operator).groups == ("guests", "on-call")
    await change(talk, idp, change="move", groups="")
    assert idp.accounts.present(operator).groups == ()


@pytest.mark.parametrize(
    "fields",
    [
        {"change": "promote"},
        {"change": "disable", "name": "root"},
        {"change": "move", "groups": "x" * 200},
        {"change": "move", "groups": " ".join(map(str, range(MAX_GROUPS + 1)))},
    ],
)
async def test_the_page_refuses_what_it_does_not_know(talk, idp, fields):
    assert (await change(talk, idp, **fields)).status_code == 400
    assert idp.accounts.present(DEMO_USERS[1]) == DEMO_USERS[1]


async def test_another_site_cannot_change_an_account(talk, idp):
    await talk.http.get(f"{idp.issuer}/accounts")
    forged = await talk.http.post(
        f"{idp.issuer}/accounts",
        data={"form_token": "0" * 64, "name": "operator", "change": "disable"},
    )
    assert forged.status_code == 403
    assert idp.accounts.is_enabled("operator")


def test_a_group_without_a_name_is_refused():
    with pytest.raises(ValueError, match="at most"):
        Accounts().move("operator", ("a", ""))

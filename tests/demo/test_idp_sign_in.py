"""The sign-in page belongs to one browser, is good once, and can be cancelled."""

from urllib.parse import urljoin

import pytest

from kzproxy.demo.page_forms import forms
from tests.conformance.oidc_provider import conversation, single


async def opened(talk):
    page = await talk.authorize()
    assert page.status_code == 200
    (form,) = forms(page.text)
    return urljoin(str(page.url), form.action), form


async def test_every_user_has_a_button(talk):
    _, form = await opened(talk)
    assert form.buttons == [("user", name) for name in ("developer", "operator", "guest", "admin")]


async def test_cancelling_tells_the_client(talk):
    action, form = await opened(talk)
    answer = await talk.http.post(action, data=form.fields)
    assert answer.status_code == 303
    told = single(answer.headers["location"])
    assert (told["error"], told["state"]) == ("access_denied", talk.state)


async def test_a_page_is_good_once(talk):
    action, form = await opened(talk)
    data = {**form.fields, "user": "guest"}
    assert (await talk.http.post(action, data=data)).status_code == 303
    again = await talk.http.post(action, data=data)
    assert again.status_code == 400
    assert "location" not in again.headers


async def test_a_page_ends(talk, clock):
    action, form = await opened(talk)
    clock.move(minutes=10)
    answer = await talk.http.post(action, data={**form.fields, "user": "guest"})
    assert answer.status_code == 400


async def test_another_browser_cannot_send_the_form(talk, under_test):
    action, form = await opened(talk)
    data = {**form.fields, "user": "admin"}
    async with conversation(under_test) as stranger:
        assert (await stranger.http.post(action, data=data)).status_code == 403
        await stranger.authorize()
        assert (await stranger.http.post(action, data=data)).status_code == 403


@pytest.mark.parametrize("change", [{"form_token": "0" * 64}, {"form_token": ""}, {"page": "x"}])
async def test_a_changed_form_is_refused(talk, change):
    action, form = await opened(talk)
    data = {**form.fields, "user": "admin", **change}
    assert (await talk.http.post(action, data=data)).status_code == 403


async def test_two_tabs_of_one_browser_both_work(talk):
    first, second = await opened(talk), await opened(talk)
    for action, form in (first, second):
        answer = await talk.http.post(action, data={**form.fields, "user": "guest"})
        assert answer.status_code == 303


async def test_an_unknown_user_spends_nothing(talk):
    action, form = await opened(talk)
    wrong = await talk.http.post(action, data={**form.fields, "user": "root"})
    assert wrong.status_code == 400
    right = await talk.http.post(action, data={**form.fields, "user": "guest"})
    assert right.status_code == 303


async def test_the_hinted_user_is_marked(talk):
    page = await talk.authorize(login_hint="guest")
    assert page.text.count("asked for") == 1


async def test_the_page_may_lead_to_its_client_and_to_no_other(talk):
    page = await talk.authorize()
    policy = page.headers["content-security-policy"]
    assert policy.endswith("form-action 'self' http://127.0.0.1:39251")


async def test_an_address_that_is_left_out_is_not_guessed(talk):
    """Core 3.1.2.1 requires it, although only one is registered for most clients."""
    page = await talk.authorize(redirect_uri=None)
    assert page.status_code == 400
    assert "location" not in page.headers

"""A person lets a terminal in: never by a link alone."""

from urllib.parse import urljoin

from kzproxy.demo.page_forms import forms
from tests.conformance.oidc_provider import conversation


async def person_page(talk, begun):
    page = await talk.http.get(begun["verification_uri_complete"])
    (form,) = forms(page.text)
    assert form.fields["user_code"] == begun["user_code"]
    answer = await talk.http.post(urljoin(str(page.url), form.action), data=form.fields)
    assert begun["user_code"] in answer.text
    (form,) = forms(answer.text)
    return urljoin(str(answer.url), form.action), form


async def test_opening_the_link_lets_nobody_in(talk):
    begun = await talk.begin_device()
    await talk.http.get(begun["verification_uri_complete"])
    assert (await talk.poll(begun["device_code"])).json()["error"] == "authorization_pending"


async def test_turning_it_away_is_told_to_the_terminal(talk):
    begun = await talk.begin_device()
    action, form = await person_page(talk, begun)
    assert (await talk.http.post(action, data=form.fields)).status_code == 200
    assert (await talk.poll(begun["device_code"])).json()["error"] == "access_denied"


async def test_another_browser_cannot_approve(talk, under_test):
    begun = await talk.begin_device()
    action, form = await person_page(talk, begun)
    async with conversation(under_test) as stranger:
        data = {**form.fields, "user": "admin"}
        assert (await stranger.http.post(action, data=data)).status_code == 403
    assert (await talk.poll(begun["device_code"])).json()["error"] == "authorization_pending"


async def test_a_decided_code_cannot_be_decided_again(talk):
    begun = await talk.begin_device()
    action, form = await person_page(talk, begun)
    data = {**form.fields, "user": "guest"}
    assert (await talk.http.post(action, data=data)).status_code == 200
    assert (await talk.http.post(action, data=data)).status_code == 400


async def test_a_wrong_code_is_asked_for_again(talk, idp):
    page = await talk.http.get(f"{idp.issuer}/device")
    (form,) = forms(page.text)
    data = {**form.fields, "user_code": "<b>BBBB"}
    answer = await talk.http.post(f"{idp.issuer}/device", data=data)
    assert answer.status_code == 400
    assert "No terminal waits with this code" in answer.text
    assert "<b>" not in answer.text

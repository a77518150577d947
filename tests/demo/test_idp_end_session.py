"""Signing out ends the sign-in that the ID token names, after asking."""

from kzproxy.demo.page_forms import forms


async def test_signing_out_ends_the_sign_in(talk, idp):
    tokens = await talk.signed_in()
    endpoint = talk.metadata["end_session_endpoint"]
    page = await talk.http.get(endpoint, params={"id_token_hint": tokens["id_token"]})
    assert (await talk.userinfo(tokens["access_token"])).status_code == 200
    (form,) = forms(page.text)
    answer = await talk.http.post(endpoint, data=form.fields)
    assert "signed out" in answer.text
    assert (await talk.userinfo(tokens["access_token"])).status_code == 401
    assert (await talk.refresh(tokens["refresh_token"])).json()["error"] == "invalid_grant"


async def test_a_form_for_one_sign_in_does_not_end_another(talk, idp):
    mine, other = await talk.signed_in(), await talk.signed_in()
    endpoint = talk.metadata["end_session_endpoint"]
    page = await talk.http.get(endpoint, params={"id_token_hint": mine["id_token"]})
    (form,) = forms(page.text)
    session = (await talk.verified(other["id_token"]))["sid"]
    data = {**form.fields, "session": session}
    assert (await talk.http.post(endpoint, data=data)).status_code == 403


async def test_without_a_token_of_ours_nothing_is_ended(talk):
    endpoint = talk.metadata["end_session_endpoint"]
    for hint in ("", "x.y.z"):
        answer = await talk.http.get(endpoint, params={"id_token_hint": hint})
        assert answer.status_code == 400

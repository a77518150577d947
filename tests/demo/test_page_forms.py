"""Forms are read off a page as far as pressing a button needs it."""

from hypothesis import given
from hypothesis import strategies as st

from kzproxy.demo.page_forms import forms


def test_fields_and_buttons_are_told_apart():
    (form,) = forms(
        '<input name="outside" value="x"><form method="POST" action="/go?a=1&amp;b=2">'
        '<input type="hidden" name="t" value="&lt;"><input name="typed"><input value="nameless">'
        '<input type="checkbox" name="off"><input type="checkbox" name="on" value="1" checked>'
        '<button name="user" value="me">Me</button><input type="submit" name="other" value="x">'
        '</form><button name="late" value="x">'
    )
    assert form.action == "/go?a=1&b=2"
    assert form.fields == {"t": "<", "typed": "", "on": "1"}
    assert form.buttons == [("user", "me"), ("other", "x")]


def test_a_search_form_is_not_one_of_them():
    assert forms('<form action="/find"><button name="user" value="me"></form>') == []


@given(st.text())
def test_any_text_is_read(page):
    assert isinstance(forms(page), list)

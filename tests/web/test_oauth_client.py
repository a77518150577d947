"""Where answers go, and who may trade a code: compared exactly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.client.pkce import ProofKey
from kzproxy.web.oauth_client import answers, is_challenge, is_redirect_uri

CODE_PAGE = "https://kzproxy.example.com:8444/code"


@given(port=st.integers(-5, 70_000))
def test_a_loopback_port_is_free_to_choose(port: int):
    uri = f"http://127.0.0.1:{port}/callback"
    assert is_redirect_uri(uri, CODE_PAGE) is (1 <= port <= 65535)


@given(uri=st.text() | st.from_regex(r"https?://[^/]*/callback", fullmatch=True))
def test_nothing_else_is_taken(uri: str):
    taken = is_redirect_uri(uri, CODE_PAGE)
    plain = uri.startswith("http://127.0.0.1:") and uri.endswith("/callback")
    assert not taken or uri == CODE_PAGE or plain


@pytest.mark.parametrize("uri", [CODE_PAGE + "?x", CODE_PAGE + "/", CODE_PAGE.upper(), ""])
def test_the_code_page_has_one_spelling(uri: str):
    assert is_redirect_uri(CODE_PAGE, CODE_PAGE)
    assert not is_redirect_uri(uri, CODE_PAGE)


def test_the_clients_own_proof_answers_its_challenge():
    proof = ProofKey.generate()
    assert is_challenge(proof.challenge)
    assert answers(proof.verifier, proof.challenge)
    assert not answers(proof.verifier + "x", proof.challenge)
    assert not answers(proof.challenge, proof.challenge)
    assert not answers("", proof.challenge)
    assert not answers(proof.verifier, "")


@given(verifier=st.text(max_size=200), challenge=st.text(max_size=60))
def test_nobody_guesses(verifier: str, challenge: str):
    assert not answers(verifier, challenge)


@pytest.mark.parametrize(
    "text", ["", "c" * 42, "c" * 44, "c" * 42 + "=", "c" * 42 + "\n", "ä" * 43]
)
def test_what_is_no_digest_is_no_challenge(text: str):
    assert is_challenge("c" * 43)
    assert not is_challenge(text)

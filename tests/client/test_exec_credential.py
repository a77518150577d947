"""What kubectl and the plugin say to each other."""

import json
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.client.exec_credential import (
    API_VERSION,
    Credential,
    encode_credential,
    read_exec_info,
)
from kzproxy.client.failure import ClientFailure

QUESTION = {"apiVersion": API_VERSION, "kind": "ExecCredential"}
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=10,
)


def expiration(ends_at: int, now_seconds: float) -> float:
    credential = Credential(token="token", certificate="", key="", ends_at=ends_at)
    status = json.loads(encode_credential(credential, now_seconds))["status"]
    return datetime.fromisoformat(status["expirationTimestamp"]).timestamp()


def test_kubectls_question_is_read() -> None:
    spec = {"interactive": True, "cluster": {"server": "https://kz.test/", "config": None}}
    info = read_exec_info(json.dumps({**QUESTION, "spec": spec}))
    assert info.interactive
    assert info.server == "https://kz.test"


def test_a_question_without_cluster_is_read() -> None:
    info = read_exec_info(json.dumps({**QUESTION, "spec": {}}))
    assert not info.interactive
    assert info.server == ""


@given(st.text() | json_values.map(json.dumps))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        info = read_exec_info(text)
    except ClientFailure:
        return
    assert isinstance(info.interactive, bool)
    assert isinstance(info.server, str)


def test_a_nest_without_bottom_is_refused() -> None:
    with pytest.raises(ClientFailure, match="is not JSON"):
        read_exec_info("[" * 100_000)


def test_certificate_and_key_are_there_together_or_not_at_all() -> None:
    bare = Credential(token="t", certificate="", key="", ends_at=1000)
    assert set(json.loads(encode_credential(bare, 0))["status"]) == {"token", "expirationTimestamp"}
    full = Credential(token="t", certificate="C", key="K", ends_at=1000)
    status = json.loads(encode_credential(full, 0))["status"]
    assert (status["clientCertificateData"], status["clientKeyData"]) == ("C", "K")


def test_a_long_credential_is_given_up_thirty_seconds_early() -> None:
    assert expiration(2_000_000_300, 2_000_000_000) == 2_000_000_270


def test_a_short_credential_is_given_up_half_way() -> None:
    assert expiration(2_000_000_020, 2_000_000_000) == 2_000_000_010


@given(st.integers(0, 4_000_000_000), st.integers(0, 4_000_000_000))
def test_the_expiration_is_never_in_the_past(ends_at: int, now_seconds: int) -> None:
    assert expiration(ends_at, now_seconds) > now_seconds

"""What a name from outside may look like."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.authentication.names import MAX_NAME_BYTES, is_reserved, name_fault


@pytest.mark.parametrize(
    "name",
    ["alice", "alice@example.com", "Jürgen Größe", "a,b", "团队", "o'neill", "x" * MAX_NAME_BYTES],
)
def test_an_ordinary_name_is_taken(name):
    assert name_fault(name) == ""


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("", "is blank"),
        (" ", "is blank"),
        ("\t", "is blank"),
        ("\u3000", "is blank"),
        (" alice", "begins or ends with a blank"),
        ("alice ", "begins or ends with a blank"),
        ("alice\u00a0", "begins or ends with a blank"),
        ("al\nImpersonate-Group: system:masters", "holds a control"),
        ("al\x00ice", "holds a control"),
        ("al\x7fice", "holds a control"),
        ("al\x85ice", "holds a control"),
        ("al\u202eice", "holds a control"),
        ("al\u2066ice", "holds a control"),
        ("al\u200bice", "holds a control"),
        ("al\u00adice", "holds a control"),
        ("al\u2028ice", "holds a control"),
        ("al\ud800ice", "holds a control"),
        ("\ufeffalice", "holds a control"),
        ("Ju\u0308rgen", "is not in Unicode normal form C"),
        ("x" * (MAX_NAME_BYTES + 1), "is longer than 1024 bytes"),
        ("ü" * 513, "is longer than 1024 bytes"),
    ],
)
def test_a_name_that_could_be_read_in_two_ways_is_refused_and_not_repaired(name, fault):
    assert name_fault(name).startswith(fault)


@given(st.text())
def test_a_name_without_fault_survives_a_header(name):
    """What passes can be written as a header value, and the reader's trimming changes nothing."""
    if name_fault(name):
        return
    written = name.encode()
    assert written.strip(b" \t\r\n") == written
    assert not any(byte < 0x20 or byte == 0x7F for byte in written)
    assert len(written) <= MAX_NAME_BYTES


@pytest.mark.parametrize(
    "name",
    [
        "system:masters",
        "SYSTEM:MASTERS",
        "System:node:n1",
        " system:masters",
        "system:masters ",
        "\uff53ystem:masters",
        "system\uff1amasters",
        "\u017fystem:masters",
        "\U0001d42c\U0001d432\U0001d42c\U0001d42d\U0001d41e\U0001d426:masters",
        "system:serviceaccount:kube-system:default",
        "system:kube-controller-manager",
        "system:",
    ],
)
def test_every_spelling_of_a_system_name_is_reserved(name):
    assert is_reserved(name)


@pytest.mark.parametrize("name", ["systems", "system", "oidc:system:masters", "my-system:x"])
def test_a_name_that_only_looks_a_little_like_it_is_not_reserved(name):
    assert not is_reserved(name)

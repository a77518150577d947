from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.attributes.identity import SPIFFE_ID_EXTRA, ExtraValues, Identity
from kzproxy.attributes.spiffe import SpiffeId, Workload, workload_of


def identity(username: str = "ci", extra: ExtraValues = ()) -> Identity:
    return Identity(
        username=username,
        extra=extra,
        method="oidc",
        issuer="https://idp.example.org",
        subject="1",
        expires_at=datetime(2026, 1, 1, tzinfo=UTC),
    )


@pytest.mark.parametrize(
    ("text", "domain", "segments"),
    [
        ("spiffe://example.org", "example.org", ()),
        ("spiffe://example.org/ns/ci/sa/builder", "example.org", ("ns", "ci", "sa", "builder")),
    ],
)
def test_ids_are_read(text: str, domain: str, segments: tuple[str, ...]) -> None:
    assert SpiffeId.parse(text) == SpiffeId(trust_domain=domain, segments=segments)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "spiffe:/example.org/a",
        "SPIFFE://example.org/a",
        "https://example.org/a",
        "spiffe://",
        "spiffe:///a",
        "spiffe://Example.org/a",
        "spiffe://user@example.org/a",
        "spiffe://example.org:8443/a",
        "spiffe://example.org/",
        "spiffe://example.org/a/",
        "spiffe://example.org//a",
        "spiffe://example.org/a/../b",
        "spiffe://example.org/./a",
        "spiffe://example.org/a%2fb",
        "spiffe://example.org/a?b",
        "spiffe://example.org/a#b",
        "spiffe://example.org/é",
        "spiffe://example.org/a\n",
        "spiffe://example.org/" + "a" * 2048,
    ],
)
def test_what_is_no_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="SPIFFE ID"):
        SpiffeId.parse(text)


@given(st.text(alphabet="spife:/.a%-", max_size=30))
def test_an_id_has_one_spelling(text: str) -> None:
    try:
        read = SpiffeId.parse(f"spiffe://{text}")
    except ValueError:
        return
    assert f"spiffe://{'/'.join((read.trust_domain, *read.segments))}" == f"spiffe://{text}"


def test_a_workload_is_read_from_its_spiffe_id() -> None:
    spiffe_id = "spiffe://example.org/ns/ci/sa/builder"
    assert workload_of(identity(extra=((SPIFFE_ID_EXTRA, (spiffe_id,)),))) == Workload(
        spiffe_id=spiffe_id,
        trust_domain="example.org",
        namespace="ci",
        service_account="builder",
    )


def test_a_workload_is_read_from_its_service_account() -> None:
    assert workload_of(identity("system:serviceaccount:ci:builder")) == Workload(
        namespace="ci", service_account="builder"
    )


def test_a_person_is_no_workload() -> None:
    assert workload_of(identity("alice")) == Workload()

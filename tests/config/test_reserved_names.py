import json
from pathlib import Path

import pytest

from kzproxy.authentication.settings import (
    NO_RESERVED_NAMES,
    JwtIssuerSettings,
    PrefixedClaim,
    ReservedNames,
)
from kzproxy.config.document import Mistakes, read_document
from kzproxy.config.reserved_names import with_reserved_names
from kzproxy.errors.configuration import ConfigurationError

CLUSTER, PEOPLE = "https://kubernetes.default.svc", "https://idp.example.com"


def issuer(url: str) -> JwtIssuerSettings:
    return JwtIssuerSettings(
        url=url, audiences=("k",), username=PrefixedClaim(claim="sub", prefix="")
    )


def read(directory: Path, entries: list[object]) -> tuple[JwtIssuerSettings, ...]:
    file = directory / "names.yaml"
    file.write_text(json.dumps(entries))
    mistakes = Mistakes()
    issuers = with_reserved_names([issuer(CLUSTER), issuer(PEOPLE)], read_document(file, mistakes))
    mistakes.raise_if_any()
    return issuers


def test_names_are_given_to_the_issuer_that_is_named_and_to_no_other(tmp_path: Path) -> None:
    entry = {
        "issuer": CLUSTER,
        "users": ["system:serviceaccount:ci:*"],
        "groups": ["system:serviceaccounts:ci", "system:serviceaccounts"],
    }
    cluster, people = read(tmp_path, [entry])
    assert cluster.reserved == ReservedNames(
        users=("system:serviceaccount:ci:*",),
        groups=("system:serviceaccounts", "system:serviceaccounts:ci"),
    )
    assert people.reserved == NO_RESERVED_NAMES


def test_names_are_part_of_what_an_issuer_is_trusted_with(tmp_path: Path) -> None:
    """Streams rest on the revision: taking names away ends them."""
    entry = {"issuer": CLUSTER, "users": ["system:serviceaccount:ci:*"]}
    cluster, people = read(tmp_path, [entry])
    assert cluster.revision != issuer(CLUSTER).revision
    assert people.revision == issuer(PEOPLE).revision


def test_left_out_no_issuer_has_any() -> None:
    (cluster,) = with_reserved_names([issuer(CLUSTER)], None)
    assert cluster.reserved == NO_RESERVED_NAMES


@pytest.mark.parametrize(
    "pattern",
    [
        "system:masters",
        "system:*",
        "*",
        "system:node:*",
        "system:serviceaccount",
        "System:serviceaccount:ci:x",
        "alice",
        "",
    ],
)
@pytest.mark.parametrize("field", ["users", "groups"])
def test_e6_9_no_leave_is_given_beyond_service_accounts(
    tmp_path: Path, field: str, pattern: str
) -> None:
    with pytest.raises(ConfigurationError, match="must"):
        read(tmp_path, [{"issuer": CLUSTER, field: [pattern]}])


@pytest.mark.parametrize("account", ["*", "ci*", "c*r", "ci:", ":x", "*:", "ci:a:b", ""])
def test_the_namespace_of_an_account_is_written_apart_from_its_name(
    tmp_path: Path, account: str
) -> None:
    """A `*` that stood for both would reach into other namespaces than it seems to."""
    with pytest.raises(ConfigurationError, match="must be system:serviceaccount:NAMESPACE:NAME"):
        read(tmp_path, [{"issuer": CLUSTER, "users": [f"system:serviceaccount:{account}"]}])


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ([{"issuer": "https://other", "users": ["system:serviceaccount:a:b"]}], "is no issuer"),
        ([{"issuer": CLUSTER}], "users or groups must be set"),
        ([{"issuer": CLUSTER, "users": ["system:serviceaccount:a:b"]}] * 2, "there twice"),
        ([{"users": ["system:serviceaccount:a:b"]}], "issuer"),
    ],
)
def test_a_wrong_entry_is_a_mistake(tmp_path: Path, entries: list[object], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        read(tmp_path, entries)

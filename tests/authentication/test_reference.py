"""The limits that docs/reference/authentication.md tells are those of the code."""

import re
from pathlib import Path

import pytest

from kzproxy.authentication.jwks import ALGORITHMS
from kzproxy.authentication.mapping import MAX_GROUPS
from kzproxy.authentication.names import MAX_NAME_BYTES
from kzproxy.authentication.oidc import MAX_REMEMBERED_TOKENS
from kzproxy.authentication.settings import DEFAULT_KEY_LIMITS, MEBIBYTE
from kzproxy.authentication.signed_token import MAX_KEY_ID_BYTES, MAX_TOKEN_BYTES
from kzproxy.authentication.validity import MAX_LEEWAY
from kzproxy.config.authentication import MAX_ISSUERS
from kzproxy.devices.certificate_reading import MAX_CHAIN

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "authentication.md"


def told(limit):
    """Return the number in the table's line for a limit."""
    line = re.search(rf"^\| {re.escape(limit)} \| ([\d]+)", REFERENCE.read_text(), re.MULTILINE)
    assert line, f"no line for {limit}"
    return int(line[1])


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        ("token", MAX_TOKEN_BYTES // 1024),
        ("`kid`", MAX_KEY_ID_BYTES),
        ("name", MAX_NAME_BYTES),
        ("groups, and values of an extra", MAX_GROUPS),
        ("leeway for `nbf`, `iat`", MAX_LEEWAY.total_seconds()),
        ("refresh interval", DEFAULT_KEY_LIMITS.refresh_interval.total_seconds()),
        ("cool-down", DEFAULT_KEY_LIMITS.cool_down.total_seconds()),
        ("keep last good", DEFAULT_KEY_LIMITS.keep_last_good.total_seconds()),
        ("fetch time-out", DEFAULT_KEY_LIMITS.fetch_timeout.total_seconds()),
        ("document", DEFAULT_KEY_LIMITS.document_bytes // MEBIBYTE),
        ("keys in a set", DEFAULT_KEY_LIMITS.keys),
        ("issuers", MAX_ISSUERS),
        ("accepted tokens remembered", MAX_REMEMBERED_TOKENS),
        ("refused tokens remembered", MAX_REMEMBERED_TOKENS),
        ("certificates in a device's chain", MAX_CHAIN),
    ],
)
def test_a_limit_is_told_as_it_is(limit, value):
    assert told(limit) == value


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_every_accepted_algorithm_is_told(algorithm):
    assert algorithm in REFERENCE.read_text()

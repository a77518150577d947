"""Systems are compared on equal terms only."""

import pytest

from bench.ledger import MismatchError
from bench.series import Found, check_equal_terms


def test_equal_ciphers_pass_whatever_the_others_have() -> None:
    check_equal_terms(
        Found(ciphers={"nginx": "X; upstream Y", "kzproxy": "X; upstream Y", "z": "Z"})
    )


def test_other_ciphers_on_either_side_are_told() -> None:
    with pytest.raises(MismatchError, match="kzproxy has X; upstream Z, nginx has X; upstream Y"):
        check_equal_terms(Found(ciphers={"nginx": "X; upstream Y", "kzproxy": "X; upstream Z"}))

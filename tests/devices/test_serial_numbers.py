"""Serial numbers that tell whose key a certificate is for, and those that do not."""

import pytest
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.devices.serial_numbers import mark_of_key, mark_of_serial, new_serial_number

_THUMBPRINTS = st.binary(min_size=32, max_size=32).map(bytes.hex)


@given(_THUMBPRINTS)
def test_every_number_of_a_key_tells_it_and_is_as_rfc_5280_wants_it(thumbprint):
    numbers = {new_serial_number(thumbprint) for _ in range(4)}
    assert len(numbers) == 4
    for number in numbers:
        assert 0 < number < 2**128  # of 20 octets at most, and positive
        assert mark_of_serial(f"{number:x}") in ("", mark_of_key(thumbprint))


@given(_THUMBPRINTS, _THUMBPRINTS)
def test_a_number_tells_no_other_key(one, other):
    told = mark_of_serial(f"{new_serial_number(one):x}")
    assert (told == mark_of_key(other)) is (one[:16] == other[:16] and told != "")


def test_a_key_whose_mark_would_be_nothing_is_told_by_none():
    assert mark_of_serial(f"{new_serial_number('0' * 64):x}") == ""


@pytest.mark.parametrize(
    "serial", ["", "77", "f" * 16, "1" + "0" * 32, "no number", "-1", "\u0661"]
)
def test_what_is_no_such_number_tells_nothing(serial):
    assert mark_of_serial(serial) == ""


def test_the_numbers_of_others_tell_nothing():
    assert mark_of_serial(f"{x509.random_serial_number() | 1 << 150:x}") == ""

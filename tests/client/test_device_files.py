"""The device's certificate and key, read without a library; cryptography is the judge."""

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kzproxy.client.device_files import DeviceFiles, read_device_files
from kzproxy.client.failure import ClientFailure
from tests.servers.authority import Authority

AUTHORITY = Authority.root()
ISSUED = AUTHORITY.issue(common_names=["laptop"])
GOOD = ISSUED.der_chain[0]
DAY = timedelta(days=1)
moments = st.integers(-599_616_000, 7_258_118_400).map(lambda s: datetime.fromtimestamp(s, UTC))


def files(ends_in_seconds: float, life_seconds: float = 1000) -> DeviceFiles:
    ends_at = int(ends_in_seconds)
    begins_at = ends_at - int(life_seconds)
    return DeviceFiles(certificate="c", key="k", begins_at=begins_at, ends_at=ends_at)


@given(moments)
@settings(max_examples=30, deadline=None)
def test_the_times_are_those_that_cryptography_reads(
    tmp_path_factory: pytest.TempPathFactory, begins: datetime
) -> None:
    """Before 2050 they are UTCTime, after it GeneralizedTime (RFC 5280 section 4.1.2.5)."""
    issued = AUTHORITY.issue(not_before=begins, not_after=begins + DAY)
    certificate, key = issued.write_to(tmp_path_factory.mktemp("device"), "device")
    read = read_device_files(str(certificate), str(key))
    assert read.begins_at == issued.certificate.not_valid_before_utc.timestamp()
    assert read.ends_at == issued.certificate.not_valid_after_utc.timestamp()


@given(st.lists(st.tuples(st.integers(0, len(GOOD) - 1), st.integers(0, 255)), max_size=5))
@settings(max_examples=300, deadline=None)
def test_any_damaged_certificate_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, damages: list[tuple[int, int]]
) -> None:
    damaged = bytearray(GOOD)
    for place, value in damages:
        damaged[place] = value
    certificate, key = ISSUED.write_to(tmp_path_factory.mktemp("device"), "device")
    certificate.write_text(ssl.DER_cert_to_PEM_cert(bytes(damaged)))
    try:
        read = read_device_files(str(certificate), str(key))
    except ClientFailure:
        return
    assert isinstance(read.ends_at, int)


@given(st.binary(max_size=80))
@settings(max_examples=200, deadline=None)
def test_any_bytes_in_the_place_of_a_certificate_are_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, der: bytes
) -> None:
    certificate, key = ISSUED.write_to(tmp_path_factory.mktemp("device"), "device")
    certificate.write_text(ssl.DER_cert_to_PEM_cert(der))
    with pytest.raises(ClientFailure, match="it is not valid PEM"):
        read_device_files(str(certificate), str(key))


def test_a_chain_counts_by_its_leaf(tmp_path: Path) -> None:
    leaf = AUTHORITY.intermediate().issue(not_after=datetime(2030, 1, 1, tzinfo=UTC))
    certificate, key = leaf.write_to(tmp_path, "device")
    assert certificate.read_text().count("BEGIN CERTIFICATE") == 2
    read = read_device_files(str(certificate), str(key))
    assert read.ends_at == datetime(2030, 1, 1, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("swapped", [False, True])
def test_a_file_of_another_kind_is_refused(tmp_path: Path, *, swapped: bool) -> None:
    certificate, key = AUTHORITY.issue().write_to(tmp_path, "device")
    pair = (key, key) if swapped else (certificate, certificate)
    with pytest.raises(ClientFailure, match="is not a PEM file of that kind"):
        read_device_files(str(pair[0]), str(pair[1]))


def test_a_huge_file_is_refused(tmp_path: Path) -> None:
    huge = tmp_path / "huge.crt"
    huge.write_bytes(b"x" * (256 * 1024 + 1))
    with pytest.raises(ClientFailure, match="is larger than 262144 bytes"):
        read_device_files(str(huge), str(huge))


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ClientFailure, match="cannot be read: Is a directory"):
        read_device_files(str(tmp_path), str(tmp_path))


@pytest.mark.parametrize(
    ("remaining", "warning"),
    [
        (-1, "the device certificate has ended; enrol this device again"),
        (0, "the device certificate has ended; enrol this device again"),
        (99, "the device certificate ends in 99 seconds; have it renewed"),
        (101, ""),
    ],
)
def test_the_last_tenth_of_its_life_is_worth_a_warning(remaining: float, warning: str) -> None:
    assert files(5000).warning(5000 - remaining) == warning


@pytest.mark.parametrize(
    ("remaining", "span"),
    [(86400 * 3, "3 days"), (3600 * 47, "47 hours"), (60 * 90, "90 minutes"), (90, "90 seconds")],
)
def test_the_rest_is_said_in_a_fitting_unit(remaining: float, span: str) -> None:
    assert f"ends in {span}" in files(0, 86400 * 365).warning(-remaining)

"""What the tests of authentication share: a clock, an authority and two issuers."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.authentication.manual_clock import ManualClock
from tests.servers.authority import Authority
from tests.servers.issuer import TestIssuer, serving_issuer


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(scope="session")
def authority() -> Authority:
    return Authority.root("identity provider's root")


@pytest.fixture
async def issuer(tmp_path: Path, authority: Authority) -> AsyncIterator[TestIssuer]:
    async with serving_issuer(tmp_path, authority) as served:
        yield served


@pytest.fixture
async def second_issuer(tmp_path: Path, authority: Authority) -> AsyncIterator[TestIssuer]:
    directory = tmp_path / "second"
    directory.mkdir()
    async with serving_issuer(directory, authority) as served:
        yield served

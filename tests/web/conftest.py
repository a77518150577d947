"""What the tests of the sign-in listener share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.administrator.conftest import worker  # noqa: F401 - a fixture
from tests.authentication.manual_clock import ManualClock
from tests.servers.authority import Authority
from tests.servers.issuer import TestIssuer, serving_issuer
from tests.web.receiving import Receiving, receiving


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def issuer(tmp_path: Path) -> AsyncIterator[TestIssuer]:
    async with serving_issuer(tmp_path, Authority.root("transmitter's root")) as served:
        yield served


@pytest.fixture
async def receiver(
    tmp_path: Path, issuer: TestIssuer, clock: ManualClock
) -> AsyncIterator[Receiving]:
    async with receiving(tmp_path, issuer, clock) as made:
        yield made

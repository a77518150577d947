"""What the tests of the sign-in listener share."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from kzproxy.audit.decision_log import DecisionLog, DecisionLogSettings
from kzproxy.metrics.registry import Metrics
from kzproxy.store.sealing import Sealer
from kzproxy.store.sqlite import SqliteStore
from kzproxy.web.sign_in_desk import SignInDesk, SignInLimits
from kzproxy.web.sign_in_flows import SignInFlows
from kzproxy.web.sign_in_pages import Pages
from tests.administrator.conftest import worker  # noqa: F401 - a fixture
from tests.authentication.manual_clock import ManualClock
from tests.servers.authority import Authority
from tests.servers.issuer import TestIssuer, serving_issuer
from tests.web.receiving import Receiving, receiving


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def desk(tmp_path: Path, clock: ManualClock) -> AsyncIterator[SignInDesk]:
    """What the pages work with, where there is no identity provider."""
    store = SqliteStore.open(tmp_path / "kept.db", clock)
    settings = DecisionLogSettings(file=tmp_path / "decisions.jsonl", stdout=False)
    log = DecisionLog.open(settings, clock)
    yield SignInDesk(
        url="https://kzproxy.example",
        clock=clock,
        flows=SignInFlows(store, Sealer([b"k" * 32]), clock),
        providers=tuple,
        pages=Pages(host="kzproxy.example"),
        limits=SignInLimits.usual(clock),
        events=log,
        metrics=Metrics(version=""),
    )
    await log.close()
    await store.close()


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

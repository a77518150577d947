"""What a client is answered, whenever it comes."""

from datetime import timedelta
from pathlib import Path

import pytest

from kzproxy.authentication.session_keys import SigningKeys
from kzproxy.client.session_grant import parse_grant
from kzproxy.store.store import Entry, Put
from kzproxy.web.granted import Bound, Granted
from kzproxy.web.session_grants import SessionGrants
from tests.authentication.manual_clock import ManualClock
from tests.devices.kept_devices import KeptDevices
from tests.web.test_session_renewal import SEALER, Renewals

THUMBPRINT = "ab" * 32


def signing_keys(clock: ManualClock) -> SigningKeys:
    keys = SigningKeys(SEALER)
    for put in keys.due(clock.now()):
        assert isinstance(put, Put)
        keys.changed(put.key, Entry(kind=put.kind, key=put.key, value=put.value, revision=1))
    return keys


@pytest.mark.parametrize("left", [30, 1.9, 1.5, 1, 0.4, 0, -3], ids=str)
async def test_a_token_of_a_session_that_is_about_to_end_can_be_read(
    tmp_path: Path, left: float
) -> None:
    """The last one is asked for in the last moment, and time passes while it is written down."""
    clock = ManualClock()
    kept = KeptDevices(tmp_path / "kept.db", clock)
    renewals = Renewals(tmp_path, kept, clock, kept.log)
    grants = SessionGrants(renewals.desk(), renewals.sources(signing_keys(clock)))
    record = renewals.record()
    clock.jump(record.ends_at - timedelta(seconds=left) - clock.now())
    granted = Granted(
        record=record, renewal=renewals.token, bound=Bound(thumbprint=THUMBPRINT), key=renewals.key
    )
    read = parse_grant(await grants.answer(granted, ""))
    assert timedelta(seconds=1) <= read.life <= timedelta(seconds=30)
    await kept.close()

"""Streams under way are found by what they hang on, for as long as they are."""

from kzproxy.administrator.lease import Lease, caller_of
from kzproxy.administrator.live import LiveLeases
from kzproxy.policy.decision import Permit
from tests.authentication.manual_clock import ManualClock
from tests.policy.samples import ENROLLED, allow, asked, decide, match, subject

WATCH = "/api/v1/namespaces/a/pods?watch=true"


def stream(live: LiveLeases, session_id: str) -> Lease:
    clock = ManualClock()
    permit = decide([allow("all", match("*", "*"))], asked("GET", WATCH, device=ENROLLED))
    assert isinstance(permit, Permit)
    caller = caller_of(subject(), session_id)
    return Lease(permit, caller, clock.now(), lambda _: None, live, clock.monotonic)


def test_a_stream_is_found_by_session_and_device_until_it_ends() -> None:
    live = LiveLeases()
    leases = [stream(live, session) for session in ("one", "one", "two")]
    for lease in (*leases, leases[0]):
        live.add(lease)

    assert live.of_session("one") == set(leases[:2])
    assert live.of_device(ENROLLED.device_id) == set(leases)
    assert live.of_user(*leases[0].user) == set(leases)
    for lease in (leases[0], leases[0], leases[1]):
        live.discard(lease)
    assert live.of_session("one") == frozenset()
    assert live.of_device(ENROLLED.device_id) == {leases[2]}
    live.discard(leases[2])
    assert len(live) == 0
    assert live._by == {}

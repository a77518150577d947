"""Facts about devices: what administrators decide of them, and what they report of themselves."""

import time
from collections.abc import Callable
from datetime import datetime

from kzproxy.attributes.device import Fact as Known
from tests.matrix.facts import Fact, Turned, waited
from tests.matrix.stage import Stage, everything
from tests.matrix.streams import Account
from tests.server.test_devices import DEVICES, enrolled
from tests.server.test_posture import say, shown

STALE_SECONDS = 30
SETTINGS = {"ttlSeconds": {"screen_lock": STALE_SECONDS}}


def _on_device(name: str, **facts: Known) -> Callable[[Stage], Account]:
    """Return what makes an account on a device, which says so much of itself."""

    def arrange(stage: Stage) -> Account:
        files = enrolled(stage.world, name, name)
        if facts:
            say(stage.world, name, **facts)
            deadline = time.monotonic() + 10
            while not shown(stage.world, name):
                assert time.monotonic() < deadline
                time.sleep(0.05)
        return stage.account(name, stage.world.token(name, name), files)

    return arrange


def _blocked(stage: Stage, account: Account) -> Turned:
    since = time.monotonic()
    answer = stage.asked("POST", f"{DEVICES}/device-blocked/block", body={"reason": "stolen"})
    at = time.monotonic()
    assert answer.status == 200, answer
    return Turned(at=at, since=since)


def _without_firewall(stage: Stage, account: Account) -> Turned:
    at = time.monotonic()
    say(stage.world, "posture-fact-turned", firewall=Known.FAILED)
    return Turned(at=at, since=at)


def _stale(stage: Stage, account: Account) -> Turned:
    expires = shown(stage.world, "posture-stale")["screen_lock"]["expiresAt"]
    return waited(datetime.fromisoformat(expires))


def _rule(name: str, **device: object) -> tuple[dict[str, object], ...]:
    return (everything(name, name, conditions={"device": {"enrolled": True, **device}}),)


def _fact(name: str, **fields: object) -> Fact:
    known: dict[str, object] = {
        "cause": "no-longer-permitted",
        "says": "policy no longer permits it",
        "code": 403,
        "again": 403,
    }
    return Fact(name=name, **known | fields)  # type: ignore[arg-type]


DEVICE_FACTS = (
    _fact(
        "device blocked",
        rules=_rule("device-blocked"),
        arrange=_on_device("device-blocked"),
        turn=_blocked,
        says="stolen",
        cause="device-refused",
    ),
    _fact(
        "posture fact turned",
        rules=_rule("posture-fact-turned", checks={"passed": ["firewall"]}),
        arrange=_on_device("posture-fact-turned", firewall=Known.PASSED),
        turn=_without_firewall,
    ),
    _fact(
        "posture stale",
        rules=_rule("posture-stale", checks={"passed": ["screen_lock"]}),
        arrange=_on_device("posture-stale", screen_lock=Known.PASSED),
        turn=_stale,
    ),
)

"""Each fact that a decision can depend on, and how it is turned while streams run."""

import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from tests.matrix.stage import Stage, everything, next_minute
from tests.matrix.streams import Account
from tests.proxy.world import PREFIX, request
from tests.server.test_devices import MDM

PUSHED_SECONDS = 0.5
"""From the moment that a fact was told, or that its time had come, to the last byte passed on.

Beside what the machine stood still in between.
"""


@dataclass(frozen=True, kw_only=True)
class Turned:
    """A fact that has turned, or will.

    Attributes:
        at: Monotonic; from when it counts.
        since: Monotonic; before that no stream may end. What is asked for is done before the answer
            is there.
    """

    at: float
    since: float


@dataclass(frozen=True, kw_only=True)
class Fact:
    """One row of the matrix.

    Attributes:
        name: In the table.
        cause: What the record of each stream says.
        says: Part of what the client is told.
        code: Of the Status that it is told.
        rules: Of policy.
        arrange: Makes the account whose streams are opened, which is called once they can be.
        turn: Turns the fact once they run.
        seconds: From then, how long a byte may still be passed on.
        again: The status that the next request gets.
    """

    name: str
    cause: str
    says: str
    code: int
    rules: tuple[dict[str, Any], ...]
    arrange: Callable[[Stage], Account]
    turn: Callable[[Stage, Account], Turned]
    seconds: float = PUSHED_SECONDS
    again: int

    @property
    def group(self) -> str:
        """Of the users whom it is about."""
        return self.name.replace(" ", "-").lower()


def _monotonic(moment: datetime) -> float:
    return time.monotonic() + (moment - datetime.now(UTC)).total_seconds()


def waited(moment: datetime) -> Turned:
    """Wait until a moment has come, as streams do whose time is set."""
    at = _monotonic(moment)
    time.sleep(max(0.0, at - time.monotonic()))
    return Turned(at=at, since=at)


# A stream of each kind takes some seconds to open where two cores do everything.
_OPENING = timedelta(seconds=30)


class _Ends:
    """Something that ends at a moment that is fixed when the account is made."""

    def __init__(self) -> None:
        self.at = datetime.now(UTC)

    def in_a_while(self) -> datetime:
        self.at = (datetime.now(UTC) + _OPENING).replace(microsecond=0)
        return self.at

    def come(self, stage: Stage, account: Account) -> Turned:
        return waited(self.at)


_token, _certificate, _window = _Ends(), _Ends(), _Ends()


def _with_ending_token(stage: Stage) -> Account:
    return stage.direct("token-end", "token-end", exp=int(_token.in_a_while().timestamp()))


def _with_ending_certificate(stage: Stage) -> Account:
    world, name = stage.world, "certificate-end"
    issued = MDM.issue(common_names=["ending"], not_after=_certificate.in_a_while())
    files = issued.write_to(world.directory, "ending")
    return stage.account(name, world.token(name, name), files)


def _with_a_window(stage: Stage) -> Account:
    _window.at = ends = next_minute(_OPENING)
    begins = ends - timedelta(hours=2)
    policy = stage.policy()
    days = sorted({f"{moment:%a}" for moment in (begins, ends)})
    weekly = [{"days": days, "from": f"{begins:%H:%M}", "to": f"{ends:%H:%M}"}]
    policy["calendars"] = {"shift": {"timeZone": "UTC", "weekly": weekly}}
    policy["rules"].append(
        everything("time-window-over", "time-window-over", conditions={"time": ["shift"]})
    )
    stage.put_policy(policy)
    _reload(stage, "time-window-over")
    return stage.direct("time-window-over", "time-window-over")


def _reload(stage: Stage, rule: str) -> None:
    """Have the policy file read; return once a request that only ``rule`` permits is permitted."""
    stage.world.proxy.signal(signal.SIGHUP)
    deadline = time.monotonic() + 20
    token = stage.world.token(f"asks-{rule}", rule)
    while time.monotonic() < deadline:
        with stage.world.client() as client:
            if client.ask(request("GET", "/version", token)).status == 200:
                return
        time.sleep(0.05)
    raise AssertionError(f"rule {rule} does not come into force")


def _put_in_force(stage: Stage, policy: dict[str, Any]) -> Turned:
    at = time.monotonic()  # before, for kzproxy looks at its files by itself too
    stage.put_policy(policy)
    stage.world.proxy.signal(signal.SIGHUP)
    return Turned(at=at, since=at)


def _other_policy(stage: Stage, account: Account) -> Turned:
    policy = stage.policy()
    policy["rules"] = [rule for rule in policy["rules"] if rule["id"] != "policy-changed"]
    return _put_in_force(stage, policy)


def _other_network(stage: Stage, account: Account) -> Turned:
    policy = stage.policy()
    policy["networks"]["office"] = ["192.0.2.0/24"]
    return _put_in_force(stage, policy)


def _direct(name: str) -> Callable[[Stage], Account]:
    return lambda stage: stage.direct(name, name)


DIRECT_FACTS = (
    Fact(
        name="token end",
        cause="credential-ended",
        says="the sign-in behind this request has ended",
        code=401,
        rules=(everything("token-end", "token-end"),),
        arrange=_with_ending_token,
        turn=_token.come,
        again=401,
    ),
    Fact(
        name="certificate end",
        cause="no-longer-permitted",
        says="policy no longer permits it",
        code=403,
        rules=(
            everything(
                "certificate-end", "certificate-end", conditions={"device": {"enrolled": True}}
            ),
        ),
        arrange=_with_ending_certificate,
        turn=_certificate.come,
        again=403,
    ),
    Fact(
        name="time window over",
        cause="no-longer-permitted",
        says="policy no longer permits it",
        code=403,
        rules=(),
        arrange=_with_a_window,
        turn=_window.come,
        again=403,
    ),
    Fact(
        name="network left",
        cause="no-longer-permitted",
        says="policy no longer permits it",
        code=403,
        rules=(everything("network-left", "network-left", conditions={"networks": ["office"]}),),
        arrange=_direct("network-left"),
        turn=_other_network,
        again=403,
    ),
    Fact(
        name="policy changed",
        cause="no-longer-permitted",
        says="policy no longer permits it",
        code=403,
        rules=(everything("policy-changed", "policy-changed"),),
        arrange=_direct("policy-changed"),
        turn=_other_policy,
        again=403,
    ),
)


def policy_of(facts: tuple[Fact, ...]) -> dict[str, Any]:
    """Return the policy that the matrix begins with."""
    neighbours = everything("neighbours", "neighbours")
    # What kube-apiserver lets them do is not what is looked at.
    testers = everything("testers", "testers")
    return {
        "apiVersion": "kzproxy.dev/v1",
        "kind": "AccessPolicy",
        "metadata": {"name": "matrix"},
        "networks": {"office": ["127.0.0.0/8"]},
        "rules": [neighbours, testers, *(rule for fact in facts for rule in fact.rules)],
    }


def groups_of(facts: tuple[Fact, ...]) -> list[str]:
    """Return the groups that must be let in by RBAC."""
    names = [group for rule in policy_of(facts)["rules"] for group in rule["subjects"]["groups"]]
    return [*names, f"{PREFIX}time-window-over"]

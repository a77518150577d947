"""How long one decision takes, by itself: the policy engine in a process of its own.

``python -m bench.decision_latency POLICY`` prints JSON: quantiles over every identity and target,
in microseconds, of ``PolicyEngine.decide`` alone.
"""

import json
import statistics
import sys
import time
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from bench.machine import pinned
from bench.policy import PREFIX, groups_of, targets
from bench.programs import CannotRunError, output_of
from bench.world import IDENTITIES
from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import DevicePosture, Fact
from kzproxy.attributes.environment import Environment
from kzproxy.attributes.identity import Identity
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.clock.system import SystemClock
from kzproxy.config.access_policy import load_access_policies
from kzproxy.config.document import Mistakes
from kzproxy.policy.decision import Permit
from kzproxy.policy.engine import PolicyEngine

_ROUNDS = 3


def main() -> None:
    """Measure by the policy file that is named, and print."""
    mistakes = Mistakes()
    policies = load_access_policies([Path(sys.argv[1])], mistakes)
    mistakes.raise_if_any()
    engine = PolicyEngine(policies)
    asked = _asked()
    taken = sorted(_seconds(engine, each) for _ in range(_ROUNDS) for each in asked)
    quantiles = {
        "decision_p50_us": statistics.median(taken) * 1e6,
        "decision_p99_us": taken[int(len(taken) * 0.99)] * 1e6,
    }
    sys.stdout.write(json.dumps(quantiles) + "\n")


def in_own_process(policy: Path, core: int | None) -> dict[str, float]:
    """Measure in a process of its own, on ``core``.

    Raises:
        CannotRunError: It failed.
    """
    command = pinned(core, [sys.executable, "-m", "bench.decision_latency", str(policy)])
    said = output_of(*command)
    try:
        read: dict[str, float] = json.loads(said)
    except ValueError as error:
        raise CannotRunError(f"the decisions could not be measured: {said}") from error
    return read


def _seconds(engine: PolicyEngine, attributes: Attributes) -> float:
    begun = time.perf_counter()
    decision = engine.decide(attributes)
    taken = time.perf_counter() - begun
    if not isinstance(decision, Permit):
        raise CannotRunError(f"{attributes.request.target} is not permitted")
    return taken


def _asked() -> list[Attributes]:
    now = SystemClock().now()
    infos = [RequestInfo.parse("GET", target) for target in targets()]
    environment = Environment(source_address=ip_address("127.1.0.1"), received_at=now)
    return [
        Attributes(
            subject=_subject(number, now),
            device=DevicePosture(
                enrolled=Fact.PASSED,
                device_id=f"laptop-{number:04}",
                expires_at=now + timedelta(days=1),
            ),
            request=info,
            environment=environment,
        )
        for number in range(IDENTITIES)
        for info in infos
    ]


def _subject(number: int, now: datetime) -> Identity:
    return Identity(
        username=f"{PREFIX}user-{number:04}",
        groups=tuple(PREFIX + group for group in groups_of(number)),
        method="oidc",
        issuer="https://localhost",
        subject=f"user-{number:04}",
        expires_at=now + timedelta(days=1),
    )


if __name__ == "__main__":
    main()

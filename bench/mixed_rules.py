"""Decisions by a thousand rules of mixed kinds: ``python -m bench.mixed_rules`` prints JSON.

The CPU time to load and check them, and quantiles of one decision in microseconds: never taken
before, by rules of each kind, and taken before. ``python -m bench.run --only decisions`` judges and
keeps them.
"""

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from datetime import timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import yaml
from msgspec.structs import replace

from bench.machine import pinned
from bench.programs import CannotRunError, output_of
from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import DevicePosture, Fact
from kzproxy.attributes.environment import Environment
from kzproxy.attributes.identity import Identity
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.clock.system import SystemClock
from kzproxy.config.access_policy import load_access_policies
from kzproxy.config.document import Mistakes
from kzproxy.policy.engine import PolicyEngine

RULES = 1000
TEAMS = 250
_KINDS = ("plain", "place", "sign-in", "expression")
_MICRO = 1e6


def main() -> None:
    """Measure and print JSON."""
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "policy.yaml"
        file.write_text(yaml.safe_dump(policy()))
        begun = time.process_time()
        mistakes = Mistakes()
        policies = load_access_policies([file], mistakes)
        mistakes.raise_if_any()
        engine = PolicyEngine(policies)
        loaded = time.process_time() - begun
    found = {"load_s": loaded}
    known: list[float] = []
    for kind in _KINDS:
        asked = [_asked(number, kind) for number in range(TEAMS)]
        found |= _quantiles(kind.replace("-", "_"), _cold(engine, asked))
        known += _known(engine, asked)
    found |= _quantiles("known", known)
    sys.stdout.write(json.dumps({key: round(value, 3) for key, value in found.items()}) + "\n")


def in_own_process(core: int | None) -> dict[str, float]:
    """Measure in a process of its own, on ``core``.

    Raises:
        CannotRunError: It failed.
    """
    said = output_of(*pinned(core, [sys.executable, "-m", "bench.mixed_rules"]))
    try:
        read: dict[str, float] = json.loads(said)
    except ValueError as error:
        raise CannotRunError(f"mixed rules could not be measured: {said}") from error
    return read


def policy() -> dict[str, Any]:
    """Return the document: four rules a team, every fourth of them with an expression."""
    return {
        "apiVersion": "kzproxy.dev/v1",
        "kind": "AccessPolicy",
        "metadata": {"name": "mixed"},
        "networks": {"office": ["203.0.113.0/24", "10.0.0.0/8"]},
        "calendars": {
            "hours": {
                "timeZone": "Europe/Prague",
                "weekly": [{"days": ["Mon", "Tue", "Wed", "Thu"], "from": "00:00", "to": "24:00"}],
                "dated": [{"from": "2020-01-01", "to": "2099-01-01"}],
            }
        },
        "conditions": {"on-site": {"networks": ["office"], "time": ["hours"]}},
        "tiers": [{"level": 1, "name": "known", "conditions": {"device": {"enrolled": True}}}],
        "rules": [_rule(number, kind) for number in range(TEAMS) for kind in _KINDS],
    }


def _rule(number: int, kind: str) -> dict[str, Any]:
    rule: dict[str, Any] = {
        "id": f"{kind}-{number}",
        "effect": "deny" if kind == "plain" and number % 10 == 9 else "allow",
        "subjects": {"groups": [f"team-{number}"]},
        "match": [
            {
                "verbs": ["get", "list", "watch"],
                "apiGroups": ["", "apps"],
                "resources": ["pods", "configmaps"],
                "namespaces": [f"{kind}-{number}", f"{kind}-{number}-*"],
            }
        ],
    }
    if kind == "place":
        rule["conditions"] = {"networks": ["office"], "time": ["hours"], "device": {"tier": 1}}
    elif kind == "sign-in":
        rule["conditions"] = {"authentication": {"maxAge": "8h"}, "all": ["on-site"]}
        rule["obligations"] = {"mfa": {"classes": ["phr"]}}
    elif kind == "expression":
        rule["when"] = (
            'device.tier >= 1 && "office" in source.networks'
            f' && request.namespace.startsWith("expression-{number}")'
        )
    return rule


def _asked(number: int, kind: str) -> Attributes:
    now = SystemClock().now()
    target = f"/api/v1/namespaces/{kind}-{number}/pods/web-{number}"
    return Attributes(
        subject=Identity(
            username=f"user-{number}",
            groups=(f"team-{number}", "everyone", "engineers"),
            method="oidc",
            issuer="https://idp.example",
            subject=str(number),
            expires_at=now + timedelta(hours=1),
            authenticated_at=now - timedelta(minutes=5),
            authentication_class="phr",
        ),
        device=DevicePosture(enrolled=Fact.PASSED, device_id="laptop", thumbprint="ab"),
        request=RequestInfo.parse("GET", target),
        environment=Environment(received_at=now, source_address=ip_address("203.0.113.7")),
    )


def _cold(engine: PolicyEngine, asked: Iterable[Attributes]) -> list[float]:
    """Take each decision on facts that were never seen."""
    return [
        _seconds(engine, replace(each, subject=replace(each.subject)))
        for _ in range(4)
        for each in asked
    ]


def _known(engine: PolicyEngine, asked: Iterable[Attributes]) -> list[float]:
    taken = []
    for each in asked:
        engine.decide(each)
        taken += [_seconds(engine, each) for _ in range(4)]
    return taken


def _seconds(engine: PolicyEngine, attributes: Attributes) -> float:
    begun = time.perf_counter()
    engine.decide(attributes)
    return time.perf_counter() - begun


def _quantiles(name: str, taken: list[float]) -> dict[str, float]:
    ordered = sorted(taken)
    return {
        f"{name}_p50_us": statistics.median(ordered) * _MICRO,
        f"{name}_p99_us": ordered[int(len(ordered) * 0.99)] * _MICRO,
    }


if __name__ == "__main__":
    main()

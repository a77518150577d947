"""What client and operators are told of a request that a limit or a fault ended."""

import ssl
import time
from typing import Any

from tests.proxy.process import ProxyProcess
from tests.proxy.raw_client import Answer, RawClient


def told(answer: Answer) -> tuple[int, str, str]:
    """Return an answer's code, reason and ``Retry-After`` (empty for none), said consistently."""
    status = answer.json
    assert status["kind"] == "Status"
    assert status["code"] == answer.status
    retry_after = answer.headers.get("retry-after", [""])[0]
    assert str(status["details"].get("retryAfterSeconds", "")) == retry_after
    return answer.status, status["reason"], retry_after


def refused(proxy: ProxyProcess, answer: Answer) -> tuple[str, str]:
    """Return decision and cause of a request's only record."""
    (record,) = proxy.records_of(answer.audit_id)
    assert record["status_code"] == answer.status
    return record["decision"], record["cause"]


def ended(proxy: ProxyProcess, audit_id: str) -> tuple[str, int | None]:
    """Return how a permitted request ended and what it was answered."""
    decided, completed = proxy.finished(audit_id)
    assert decided["decision"] == "permit"
    return completed["termination"], completed.get("status_code")


def ended_of(proxy: ProxyProcess, user: str) -> dict[str, Any]:
    """Return the outcome of a user's only request, whose client was told nothing."""
    deadline = time.monotonic() + 10
    while True:
        ids = {r["audit_id"] for r in proxy.records() if r.get("user", {}).get("name") == user}
        ends = [r for r in proxy.records() if r["kind"] == "completed" and r["audit_id"] in ids]
        if ends:
            (end,) = ends
            return end
        assert time.monotonic() < deadline, user
        time.sleep(0.05)


def is_broken_off(client: RawClient) -> bool:
    """Whether what comes ends in a way that nobody can take for an end."""
    client.tls.suppress_ragged_eofs = False
    try:
        while client.receive():
            pass
    except (ConnectionError, ssl.SSLEOFError):
        return True
    return False


def counted(proxy: ProxyProcess, metric: str) -> float:
    """Return a metric, named with its labels as they are exposed; 0 where it is not there yet."""
    for line in proxy.ops("/metrics")[1].splitlines():
        if line.startswith(f"{metric} "):
            return float(line.rsplit(" ", 1)[1])
    return 0.0

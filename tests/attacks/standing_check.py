"""The alarm over everything: kzproxy's account may do nothing in its own name.

Impersonation fails open: kube-apiserver reads a blank ``Impersonate-User`` as none and acts as the
account itself. So every request of that account must have impersonated somebody, but for the
reviews by which kzproxy asks at its start who it is and what it may do.
"""

from collections.abc import Iterable, Mapping

from kzproxy.demo.upstream_account import USERNAME
from tests.cluster.audit_log import AuditEvent

_STARTUP_AGENT = "kzproxy-startup-check"
_STARTUP_REVIEWS = {
    "/apis/authentication.k8s.io/v1/selfsubjectreviews",
    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
}


def by_account(events: Iterable[AuditEvent]) -> dict[str, list[AuditEvent]]:
    """Return the events of kzproxy's account by audit id, each request's in their order."""
    found: dict[str, list[AuditEvent]] = {}
    for event in events:
        if event["user"].get("username") == USERNAME:
            found.setdefault(event["auditID"], []).append(event)
    return found


def alarms(events: Iterable[AuditEvent]) -> list[AuditEvent]:
    """Return every request that kzproxy's account made as itself, by its last event.

    Of a request that is still being received nothing is known yet: kube-apiserver notes
    ``impersonatedUser`` from its second event on.
    """
    last = [stages[-1] for stages in by_account(events).values()]
    return [event for event in last if not _is_in_order(event)]


def _is_in_order(event: AuditEvent) -> bool:
    if event["stage"] == "RequestReceived" or _names(event.get("impersonatedUser", {})):
        return True
    return (
        event.get("userAgent") == _STARTUP_AGENT
        and event["verb"] == "create"
        and event["requestURI"] in _STARTUP_REVIEWS
    )


def _names(user: Mapping[str, object]) -> bool:
    return bool(str(user.get("username", "")).strip())

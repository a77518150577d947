"""What operators are shown: health and metrics, on an address of their own, never the API's."""

import json
from collections.abc import Callable, Mapping

from kzproxy.metrics.registry import Metrics
from kzproxy.web.ops_server import Show, Shown

# A check's name and why it does not pass; None where it does.
Readiness = Callable[[], Mapping[str, str | None]]
# What operators should know of a kzproxy that is ready, by name.
Notices = Callable[[], Mapping[str, str]]
_OK, _UNREADY = 200, 503


class OpsDocuments:
    """``/livez``, ``/readyz`` and ``/metrics``."""

    def __init__(
        self,
        metrics: Metrics,
        readiness: Readiness,
        notices: Notices = dict,
        policies: Notices = dict,
    ) -> None:
        self._metrics = metrics
        self._readiness = readiness
        self._notices = notices
        self._policies = policies

    def by_path(self) -> Mapping[str, Show]:
        """Return them; there is no other path."""
        return ops_documents(self._readyz, self._expose)

    async def _readyz(self) -> Shown:
        checks = self._readiness()
        shown = {name: why or "ok" for name, why in checks.items()} | dict(self._notices())
        ready = all(why is None for why in checks.values())
        return readiness_answer(ready=ready, checks=shown, policies=self._policies())

    async def _expose(self) -> Shown:
        return metrics_answer(self._metrics.exposition())


def ops_documents(readyz: Show, metrics: Show) -> Mapping[str, Show]:
    """Return the documents of three paths; it is alive where it can say so."""
    return {"/livez": _livez, "/readyz": readyz, "/metrics": metrics}


async def _livez() -> Shown:
    return Shown(body=b"ok\n")


def readiness_answer(
    *, ready: bool, checks: Mapping[str, str], policies: Mapping[str, object] | None = None
) -> Shown:
    """Say whether requests should come, what each check found, and the policies in force."""
    said: dict[str, object] = {"ready": ready, "checks": dict(checks)}
    if policies:
        said["in_force"] = dict(policies)
    return Shown(
        status=_OK if ready else _UNREADY,
        body=(json.dumps(said, indent=2) + "\n").encode(),
        content_type="application/json; charset=utf-8",
    )


def metrics_answer(exposition: bytes) -> Shown:
    """Show metrics in the Prometheus text format."""
    return Shown(body=exposition, content_type="text/plain; version=1.0.0; charset=utf-8")

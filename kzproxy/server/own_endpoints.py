"""Which endpoints of its own a kzproxy has."""

from kzproxy.administrator.reasons import ReasonStore
from kzproxy.enforcement.own_endpoints import OwnEndpoint, OwnEndpoints
from kzproxy.enforcement.reason_endpoint import ReasonEndpoint


def own_endpoints(reasons: ReasonStore | None) -> OwnEndpoints:
    """Make them; ``reasons`` is None where the configuration has no place for reasons."""
    by_name: dict[str, OwnEndpoint] = {}
    if reasons is not None:
        by_name["reason"] = ReasonEndpoint(reasons)
    return OwnEndpoints(by_name)

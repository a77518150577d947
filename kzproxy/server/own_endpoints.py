"""Which endpoints of its own a kzproxy has."""

from kzproxy.administrator.reasons import ReasonStore
from kzproxy.audit.past_decisions import PastDecisions
from kzproxy.enforcement.decision_endpoints import (
    DecisionsEndpoint,
    Explainer,
    ExplanationsEndpoint,
    Judgement,
)
from kzproxy.enforcement.own_endpoints import OwnEndpoint, OwnEndpoints
from kzproxy.enforcement.reason_endpoint import ReasonEndpoint


def own_endpoints(
    reasons: ReasonStore | None,
    past: PastDecisions,
    judgement: Judgement,
    explainer: Explainer,
) -> OwnEndpoints:
    """Make them; ``reasons`` is None where the configuration has no place for reasons."""
    by_name: dict[str, OwnEndpoint] = {
        "decisions": DecisionsEndpoint(past, judgement),
        "explanations": ExplanationsEndpoint(past, judgement, explainer),
    }
    if reasons is not None:
        by_name["reason"] = ReasonEndpoint(reasons)
    return OwnEndpoints(by_name)

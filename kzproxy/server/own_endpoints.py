"""Which endpoints of its own a kzproxy has."""

from typing import TYPE_CHECKING

from kzproxy.administrator.administrator import Administrator
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
from kzproxy.enforcement.session_endpoints import SessionEndpoint, Sessions, SessionsEndpoint

if TYPE_CHECKING:
    from kzproxy.server.kept import Kept


def own_endpoints(
    reasons: ReasonStore | None,
    past: PastDecisions,
    judgement: Judgement,
    explainer: Explainer,
    kept: "Kept | None",
    administrator: Administrator,
) -> OwnEndpoints:
    """Make them.

    Args:
        reasons: None where the configuration has no place for reasons.
        past: Decisions.
        judgement: For questions about them.
        explainer: For whole trees.
        kept: None where the configuration has no store.
        administrator: Knows what is under way.
    """
    sessions = None if kept is None else _sessions(kept, administrator)
    by_name: dict[str, OwnEndpoint] = {
        "decisions": DecisionsEndpoint(past, judgement),
        "explanations": ExplanationsEndpoint(past, judgement, explainer),
        "session": SessionEndpoint(sessions),
    }
    if sessions is not None:
        by_name["sessions"] = SessionsEndpoint(sessions)
    if kept is not None:
        by_name |= _device_endpoints(kept)
    if reasons is not None:
        by_name["reason"] = ReasonEndpoint(reasons)
    return OwnEndpoints(by_name)


def _sessions(kept: "Kept", administrator: Administrator) -> Sessions:
    from kzproxy.administrator.user_revocation import UserRevocation

    return Sessions(
        directory=kept.sessions,
        streams=administrator.streams_of,
        revoke_user=UserRevocation(kept.following, kept.clock).revoke,
    )


def _device_endpoints(kept: "Kept") -> dict[str, OwnEndpoint]:
    from kzproxy.enforcement.device_endpoints import DeviceEndpoint, DevicesEndpoint
    from kzproxy.enforcement.shown_device import Devices

    devices = Devices(
        registry=kept.devices.registry, sessions=kept.sessions, book=kept.posture.book
    )
    return {
        "device": DeviceEndpoint(devices),
        "devices": DevicesEndpoint(devices, kept.devices.administration),
    }

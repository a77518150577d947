"""Render a ``ProxyError`` as ``metav1.Status`` (apimachinery pkg/apis/meta/v1/types.go)."""

import json

from kzproxy.errors.kinds import ProxyError, StepUpRequired


def status_body(error: ProxyError, audit_id: str) -> bytes:
    """Encode the Status that the client reads; kubectl prints its ``message``.

    The audit id goes into the message because kubectl shows nothing else, and into
    ``details.causes`` for programs.
    """
    causes = [{"reason": "AuditID", "message": audit_id}]
    if isinstance(error, StepUpRequired):
        causes.append({"reason": "StepUpRequired", "message": error.command})
    details: dict[str, object] = {"uid": audit_id, "causes": causes}
    if error.retry_after_seconds is not None:
        details["retryAfterSeconds"] = error.retry_after_seconds
    status = {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": f"{error.message} (audit id {audit_id})",
        "reason": error.reason,
        "details": details,
        "code": error.code,
    }
    return json.dumps(status, separators=(",", ":")).encode() + b"\n"

"""A 403 of kube-apiserver that is to kzproxy's own account, and not to the user."""

from kzproxy.attributes.request_info import RequestInfo
from kzproxy.errors.kinds import UpstreamInvalid
from kzproxy.http.messages import ResponseHead
from kzproxy.metrics.registry import Metrics
from kzproxy.upstream.answer import names_account


def check_refusal(
    answer: ResponseHead, info: RequestInfo, body: bytes, account: str, metrics: Metrics
) -> None:
    """Refuse to relay such an answer, and count it: operators are to hear of any.

    Args:
        answer: Of any status.
        info: What was asked.
        body: Of the answer, taken out of its framing.
        account: kzproxy's own name at kube-apiserver.
        metrics: Where it is counted.

    Raises:
        UpstreamInvalid: It is one: impersonation did not take place or is not permitted.
    """
    if not names_account(answer, info, body, account):
        return
    metrics.upstream_rejections.labels(str(answer.status)).inc()
    raise UpstreamInvalid(
        "kube-apiserver refused kzproxy's own account and not yours; its operators must look at its"
        " RBAC",
        detail=body.decode("utf-8", "replace"),
    )

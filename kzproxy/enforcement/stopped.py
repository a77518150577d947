"""What a request is told that kzproxy ends because it stops."""

from kzproxy.attributes.request_info import RequestInfo, StreamKind
from kzproxy.enforcement.unrepeatable import may_have_been_done
from kzproxy.errors.kinds import ProxyError, ServiceUnavailable
from kzproxy.upstream.connection import OUTCOME_UNKNOWN

_RETRY_AFTER_SECONDS = 1


def stopped(info: RequestInfo | None, *, is_begun: bool) -> ProxyError:
    """Return the error, which says whether the request may simply be sent again.

    Args:
        info: What was asked; None where that is not known.
        is_begun: Whether it was permitted, and so may have reached kube-apiserver; or is for an
            endpoint of kzproxy's own, and so may have been done here.
    """
    if info is None or not is_begun:
        return ServiceUnavailable(
            "kzproxy is being restarted and has not judged this request; nothing was done, send it"
            " again",
            retry_after_seconds=_RETRY_AFTER_SECONDS,
        )
    if may_have_been_done(info):
        # No Retry-After: client-go would repeat a write that may have been done.
        return ServiceUnavailable(
            f"kzproxy is being restarted and ended this {info.verb} before it was answered:"
            f" {OUTCOME_UNKNOWN}"
        )
    what = "request" if info.stream is StreamKind.NONE else info.stream.value
    return ServiceUnavailable(
        f"kzproxy is being restarted and ended this {what}; run the command again",
        retry_after_seconds=_RETRY_AFTER_SECONDS,
    )

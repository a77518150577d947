"""How long each kind of request is waited for, on both sides.

kube-apiserver gives an ordinary request a minute (``--request-timeout``) and sets no time to the
long-running ones: watches and the subresources below (``LongRunningFunc`` in its
cmd/kube-apiserver/app/options). What it bounds is bounded here too, a little above; what may take
hours there may here, until its lease ends.
"""

import math
from typing import NamedTuple

from kzproxy.attributes.request_info import RequestInfo
from kzproxy.upstream.timeouts import UpstreamTimeouts

_LONG_RUNNING_SUBRESOURCES = frozenset({"attach", "exec", "log", "portforward", "proxy"})


class Patience(NamedTuple):
    """For one request; ``inf`` is for ever.

    Attributes:
        head_seconds: For the head of the answer.
        body_seconds: For each further part of it.
        client_may_lag: Whether the client may read nothing for a while.
    """

    head_seconds: float
    body_seconds: float
    client_may_lag: bool


_ENDLESS = Patience(head_seconds=math.inf, body_seconds=math.inf, client_may_lag=True)


def patience(info: RequestInfo, timeouts: UpstreamTimeouts) -> Patience:
    """Return the patience that a request may count on."""
    seconds = timeouts.answer_seconds
    if info.subresource in _LONG_RUNNING_SUBRESOURCES:
        # The kubelet sends a log's head with its first line, the backend of a ``*/proxy`` its own
        # when it likes. ``kubectl logs | less`` reads no further while its user reads.
        return _ENDLESS
    if info.kube_verb == "watch":
        return Patience(head_seconds=seconds, body_seconds=math.inf, client_may_lag=True)
    return Patience(head_seconds=seconds, body_seconds=seconds, client_may_lag=False)

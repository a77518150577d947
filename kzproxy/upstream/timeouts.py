"""How long kube-apiserver is waited for."""

import msgspec


class UpstreamTimeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Limits on waiting.

    Attributes:
        connect_seconds: For name, TCP and TLS together.
        answer_seconds: For the head of an answer, and between two reads of its body, where
            kube-apiserver itself has a bound for the request.
    """

    connect_seconds: float = 10.0
    # kube-apiserver's own bound is 60 s (--request-timeout); it answers 504 itself by then.
    answer_seconds: float = 75.0


DEFAULT_UPSTREAM_TIMEOUTS = UpstreamTimeouts()

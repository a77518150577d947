"""Requests that must not be sent again by themselves: what they ask for may have been done."""

from kzproxy.attributes.request_info import RequestInfo, StreamKind
from kzproxy.errors.anew import anew
from kzproxy.errors.kinds import ProxyError
from kzproxy.upstream.connection import OUTCOME_UNKNOWN, SAFE_METHODS

# What streams beside these is read, or is run by a client that never repeats it.
_REPEATED_BY_CLIENTS = frozenset({StreamKind.NONE, StreamKind.PROXY})


def may_have_been_done(info: RequestInfo) -> bool:
    """Whether what reached kube-apiserver could be done twice if its client sent it again."""
    return info.stream in _REPEATED_BY_CLIENTS and info.method not in SAFE_METHODS


def unrepeatable(error: ProxyError) -> ProxyError:
    """Return ``error`` without the ``Retry-After`` at which client-go would send it again."""
    twin = anew(error)
    twin.retry_after_seconds = None
    twin.message = f"{error.message}: {OUTCOME_UNKNOWN}"
    return twin

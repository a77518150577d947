"""The same requests are long-running as for kube-apiserver."""

from math import inf

import pytest

from kzproxy.attributes.request_info import RequestInfo
from kzproxy.enforcement.patience import Patience, patience
from kzproxy.upstream.timeouts import UpstreamTimeouts

PODS = "/api/v1/namespaces/a/pods"
ORDINARY = Patience(head_seconds=7, body_seconds=7, client_may_lag=False)
WATCH = Patience(head_seconds=7, body_seconds=inf, client_may_lag=True)
AT_LEISURE = Patience(head_seconds=inf, body_seconds=inf, client_may_lag=True)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (PODS, ORDINARY),
        ("/version", ORDINARY),
        (f"{PODS}?watch=1", WATCH),
        (f"{PODS}/p/log", AT_LEISURE),
        (f"{PODS}/p/log?follow=true", AT_LEISURE),
        (f"{PODS}/p/exec?command=id", AT_LEISURE),
        (f"{PODS}/p/attach", AT_LEISURE),
        (f"{PODS}/p/portforward", AT_LEISURE),
        ("/api/v1/namespaces/a/services/s/proxy/x", AT_LEISURE),
        ("/api/v1/nodes/n/proxy/metrics", AT_LEISURE),
        (f"{PODS}/log", ORDINARY),
    ],
)
def test_a_request_is_waited_for_as_kube_apiserver_waits(target: str, expected: Patience) -> None:
    info = RequestInfo.parse("GET", target)

    assert patience(info, UpstreamTimeouts(answer_seconds=7)) == expected

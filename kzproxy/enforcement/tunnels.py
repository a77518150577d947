"""Where a connection may become a tunnel: there alone is judged what goes through one."""

from kzproxy.attributes.request_info import RequestInfo, StreamKind
from kzproxy.errors.kinds import BadRequest
from kzproxy.http.messages import RequestHead


def check_upgrade(info: RequestInfo, request: RequestHead) -> None:
    """Refuse an upgrade of what is judged as an ordinary request.

    An aggregated API may answer it with 101, as KubeVirt's does for the console of a machine: a
    rule for ``get`` would open it, with no bound on how long it runs or stands idle.

    Raises:
        BadRequest: It is one.
    """
    may_become_one = info.stream is not StreamKind.NONE or info.subresource == "log"
    if request.upgrade and not may_become_one:
        raise BadRequest(
            "a connection is upgraded for exec, attach, portforward, log, watch and proxy alone"
        )

"""The way to kube-apiserver, and what is followed over it."""

from typing import TYPE_CHECKING

import msgspec

from kzproxy.upstream.account import Account
from kzproxy.upstream.api_server import ApiServer
from kzproxy.upstream.discovery import Discovery
from kzproxy.upstream.namespaces import NamespaceLabels

if TYPE_CHECKING:
    from kzproxy.server.services import Services


def build_api_server(account: Account, services: "Services") -> ApiServer:
    """Make a way to kube-apiserver, with a pool of its own; the caller closes it."""
    return ApiServer(account, services.deadlines, services.metrics, services.limits.upstream)


class Way(msgspec.Struct, frozen=True, kw_only=True):
    """What belongs to one cluster; a reload that leaves ``upstream`` alone keeps it.

    Attributes:
        api_server: Sends requests.
        discovery: What the cluster serves.
        namespaces: Their labels; None where no rule looks at them.
    """

    api_server: ApiServer
    discovery: Discovery
    namespaces: NamespaceLabels | None

    @classmethod
    def of(cls, api_server: ApiServer, services: "Services", *, labels: bool) -> "Way":
        """Begin, with labels of namespaces where rules look at them."""
        changed = services.administrator.judge_namespaces_again
        return cls(
            api_server=api_server,
            discovery=Discovery(api_server, services.clock),
            namespaces=NamespaceLabels(api_server, services.clock, changed) if labels else None,
        )

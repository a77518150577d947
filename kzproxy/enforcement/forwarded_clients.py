"""Whom the requests of listed proxies come from, found out once for each that is named."""

from dataclasses import dataclass, field

from kzproxy.attributes.environment import IPAddress
from kzproxy.http.forwarded_for import HEADER, forwarded_client
from kzproxy.http.messages import RequestHead
from kzproxy.policy.network import Addresses
from kzproxy.transport.peer import Peer

_MOST_REMEMBERED = 4096
# A client may lengthen its header as it likes; what is remembered is bounded with this.
_MOST_CHARACTERS = 256


@dataclass(frozen=True, slots=True)
class ForwardedClients:
    """Believes ``X-Forwarded-For`` of the proxies in ``hops``, and of nobody else."""

    hops: Addresses
    _known: dict[tuple[str, ...], IPAddress] = field(default_factory=dict, init=False, repr=False)

    def peer(self, peer: Peer, request: RequestHead) -> Peer:
        """Return whom ``request`` comes from; ``peer`` itself, where that is no listed proxy.

        A proxy that sends the header has ended the client's TLS: the certificate on the connection
        is the proxy's, so that nothing is known of the client's.

        Raises:
            BadRequest: A listed proxy does not say it, or not in one way.
        """
        if not self.hops.hold(peer.address):
            return peer
        values = tuple(request.values(HEADER))
        address = self._known.get(values)
        if address is None:
            address = forwarded_client(values, self.hops.hold)
            self._remember(values, address)
        return Peer(address=address, port=0, via=peer.address)

    def _remember(self, values: tuple[str, ...], address: IPAddress) -> None:
        if sum(map(len, values)) > _MOST_CHARACTERS:
            return
        if len(self._known) >= _MOST_REMEMBERED:
            self._known.clear()
        self._known[values] = address

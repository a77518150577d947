"""What becomes of a permitted request: relayed as it is, or answered from the whole answer.

The only place that sends a caller's request upstream, and it takes a ``Permit`` for it.
"""

from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from msgspec.structs import replace

from kzproxy.administrator.administrator import Administrator
from kzproxy.administrator.known_end import known_end
from kzproxy.administrator.lease import Ending, Lease, aged
from kzproxy.attributes.api_object import Labels
from kzproxy.attributes.request_info import StreamKind
from kzproxy.clock.system import Clock
from kzproxy.enforcement.case import Case
from kzproxy.enforcement.gathering import Gathering, accepting_json
from kzproxy.enforcement.held_bytes import HeldBytes
from kzproxy.enforcement.namespace_sieve import (
    MAX_LIST_BYTES,
    Shows,
    WatchSieve,
    sieved_list,
)
from kzproxy.enforcement.patience import patience
from kzproxy.enforcement.refusal import denial
from kzproxy.enforcement.relay import Relay
from kzproxy.enforcement.self_inspection import SelfInspection
from kzproxy.enforcement.standing import Standing
from kzproxy.enforcement.turns import Turns
from kzproxy.errors.kinds import BadRequest
from kzproxy.http.messages import RequestHead, ResponseHead
from kzproxy.metrics.registry import Metrics
from kzproxy.policy.decision import Challenge, Deny, Permit
from kzproxy.transport.exchange import Exchange
from kzproxy.upstream.api_server import MAX_ANSWER_BYTES, ApiServer
from kzproxy.upstream.impersonation import DECISION_EXTRA, Outgoing

_OK = 200


class ForwardingSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What identity is sent upstream beside user and groups.

    Attributes:
        send_uid: Send ``Impersonate-Uid``, which needs a right of its own.
        send_decision_id: Send the audit id as an extra too. It is different on every request and
            so defeats kube-apiserver's authorization caches: off unless asked for.
        account: kzproxy's own name at kube-apiserver, to know a 403 that is about kzproxy.
    """

    send_uid: bool
    send_decision_id: bool
    account: str


class Permitted(msgspec.Struct, frozen=True, kw_only=True):
    """A request that may go upstream.

    Attributes:
        exchange: The way back to the client.
        request: As the client sent it.
        permit: What was judged, and what is sent.
        standing: Whose it is.
        case: What is known of it.
    """

    exchange: Exchange
    request: RequestHead
    permit: Permit
    standing: Standing
    case: Case

    def by(self, permit: Permit) -> "Permitted":
        """Return the same request as the engine permits it in other words."""
        return msgspec.structs.replace(self, permit=permit)


class Forwarding(msgspec.Struct, frozen=True, kw_only=True):
    """Sends permitted requests to kube-apiserver and sees to their answers."""

    clock: Clock
    administrator: Administrator
    api_server: ApiServer
    metrics: Metrics
    settings: ForwardingSettings
    self_inspection: SelfInspection
    held: HeldBytes
    turns: Turns

    def forward(self, permitted: Permitted) -> Coroutine[Any, Any, None]:
        """Do so, to the end of the answer.

        Raises:
            ProxyError: There is no answer that may be relayed.
            DownstreamClosed: The client has gone.
        """
        info = permitted.permit.attributes.request
        if self.self_inspection.concerns(info):
            return self._inspect(permitted)
        if not permitted.permit.by_namespace:
            return self._relay(permitted, permitted.request)
        if info.method == "HEAD":
            # kube-apiserver answers it with 405; there is nothing in a 200 that could be sieved.
            return self._relay(permitted, permitted.request, is_sieved=True)
        if info.verb == "watch":
            request = _readable(permitted)
            return self._relay(permitted, request, is_sieved=True)
        return self._list(self._in_one_piece(permitted))

    async def _relay(
        self, permitted: Permitted, request: RequestHead, *, is_sieved: bool = False
    ) -> None:
        relay = self.relay(permitted)
        with self.opened(permitted, relay.cut) as lease:
            if is_sieved:
                relay.sieve_with(WatchSieve(self._shows(lease)))
            relay.hold_to(lease.bounds)
            relay.warn(known_end(lease.permit, permitted.case.received_at))
            await relay.run(self.outgoing(permitted, request))

    def relay(self, permitted: Permitted) -> Relay:
        """Return what carries a request and its answer."""
        return Relay(
            exchange=permitted.exchange,
            info=permitted.permit.attributes.request,
            case=permitted.case,
            api_server=self.api_server,
            account=self.settings.account,
            metrics=self.metrics,
        )

    def is_plain(self, permit: Permit) -> bool:
        """Whether a request is only relayed, is answered before long, and changes nothing."""
        info = permit.attributes.request
        waits = patience(info, self.api_server.timeouts)
        is_brief = info.stream is StreamKind.NONE and not waits.client_may_lag
        return is_brief and info.is_read and not permit.by_namespace

    async def _list(self, permitted: Permitted) -> None:
        request = _readable(permitted)
        with self._gathering(permitted) as (lease, gathering):
            outgoing, info = self.outgoing(permitted, request), permitted.permit.attributes.request
            head, body = await gathering.run(outgoing, b"", info, max_bytes=MAX_LIST_BYTES)
            if head.status == _OK:
                body = await sieved_list(head, body, self._shows(lease), self.turns)
            await gathering.answer(permitted.exchange, head, body)

    def _in_one_piece(self, permitted: Permitted) -> Permitted:
        """Ask for all at once: where to go on after a page names the last namespace of it.

        Raises:
            Forbidden: It is no longer permitted.
            StepUpRequired: It would be after another sign-in.
        """
        facts = aged(permitted.permit.attributes, permitted.case.received_at)
        match self.administrator.decide(replace(facts, request=facts.request.in_one_piece())):
            case Permit() as permit:
                return permitted.by(permit)
            case Deny() | Challenge() as other:
                raise denial(other)

    async def _inspect(self, permitted: Permitted) -> None:
        # The permit may be that of an earlier request.
        attributes = aged(permitted.permit.attributes, permitted.case.received_at)
        exchange, session_id = permitted.exchange, permitted.standing.session_id
        with self._gathering(permitted) as (_, gathering):

            async def send(request: RequestHead, body: bytes) -> tuple[ResponseHead, bytes]:
                outgoing = self.outgoing(permitted, request)
                info = attributes.request
                return await gathering.run(outgoing, body, info, max_bytes=MAX_ANSWER_BYTES)

            head, body = await self.self_inspection.answer(
                exchange, permitted.request, attributes, session_id, send
            )
            await gathering.answer(exchange, head, body)

    @contextmanager
    def _gathering(self, permitted: Permitted) -> Iterator[tuple[Lease, Gathering]]:
        """Open what reads an answer whole and then sends it, all under the request's lease."""
        case, account = permitted.case, self.settings.account
        with self.held.of(permitted.standing.identity) as held:
            gathering = Gathering(self.api_server, account, self.metrics, case, held)
            with self.opened(permitted, gathering.cut) as lease:
                yield lease, gathering

    def opened(self, permitted: Permitted, cut: Callable[[Ending], None]) -> Lease:
        """Return the lease of a request, which is under way from then on; ``cut`` ends it.

        Raises:
            ProxyError: It is no longer permitted.
        """
        return self.administrator.open_for(permitted.standing.caller, permitted.permit, cut)

    def _shows(self, lease: Lease) -> Shows:
        """Judge each namespace by the facts as they are when it comes, as the lease has them."""

        def shows(namespace: str, labels: Labels) -> bool:
            return self.administrator.shows(lease.permit, namespace, labels, self.clock.now())

        return shows

    def outgoing(self, permitted: Permitted, request: RequestHead) -> Outgoing:
        """Return the request as it goes upstream."""
        audit_id = permitted.case.audit_id
        own = ((DECISION_EXTRA, audit_id),) if self.settings.send_decision_id else ()
        impersonation = permitted.standing.impersonation
        return impersonation.of(request, permitted.permit, audit_id=audit_id, extras=own)


def _readable(permitted: Permitted) -> RequestHead:
    """Return the request so that the answer can be read here.

    Raises:
        BadRequest: Nobody could tell what it is about.
        NotAcceptable: The client takes it in no form that is read here.
    """
    request, query = permitted.request, permitted.permit.attributes.request.query
    if ("includeObject", "None") in query:
        raise BadRequest(
            "of namespaces you are shown those you may see: ask for their table without"
            " includeObject=None, by which nobody could tell which they are"
        )
    return msgspec.structs.replace(request, headers=accepting_json(request))

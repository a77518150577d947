"""A request that asks again what was permitted before, carried without a task of its own.

A task is woken a turn of the loop after what it waits for has come, and goes back into a dozen
coroutines then: for a small request twice, which costs as much as its system calls. Here each step
is taken in the callback that makes it possible: its decision stands in the log, its answer has
come whole. Nothing is decided here, and the steps are those of every request.

Whatever comes in between - a cut, a client that goes, a stale connection, an answer that comes in
parts or is no plain one - hands the request over as it stands to the task of its connection, which
carries it on as it does every other: ``Relay`` knows what to do.
"""

from collections.abc import Coroutine
from contextlib import ExitStack
from typing import Any, Protocol

from kzproxy.administrator.known_end import known_end
from kzproxy.administrator.lease import Ending, Lease
from kzproxy.audit.decision_log import DecisionLog
from kzproxy.enforcement.accounts import Accounts
from kzproxy.enforcement.case import Case
from kzproxy.enforcement.forwarding import Forwarding, Permitted
from kzproxy.enforcement.limits import Counted
from kzproxy.enforcement.relay import Relay
from kzproxy.enforcement.standing import RememberedPermit
from kzproxy.errors.kinds import DownstreamClosed, InternalError, ServiceUnavailable
from kzproxy.transport.broken import handed_over
from kzproxy.transport.client_connection import Over
from kzproxy.transport.exchange import Exchange
from kzproxy.upstream.answer import check_answer
from kzproxy.upstream.connection import UpstreamConnection
from kzproxy.upstream.impersonation import Outgoing


class Point(Protocol):
    """What of the enforcement point a request needs on its way."""

    @property
    def forwarding(self) -> Forwarding:
        """How it is sent."""

    @property
    def accounts(self) -> Accounts:
        """Where it is accounted for."""

    def answer(
        self, exchange: Exchange, case: Case, work: Coroutine[Any, Any, None]
    ) -> Coroutine[Any, Any, None]:
        """Do ``work``; answer what it raises, and account for the request."""


class Repeat:
    """One request on its way, from its decision to its accounts.

    Args:
        permitted: What is carried.
        known: The permit of the one before.
        counted: Counts it as under way already.
        point: Whence it comes.
        over: Told once, at its end here.
    """

    __slots__ = (
        "_accounts",
        "_connection",
        "_counted",
        "_error",
        "_forwarding",
        "_is_over",
        "_known",
        "_lease",
        "_outgoing",
        "_over",
        "_permitted",
        "_point",
        "_relay",
        "_warning",
    )

    def __init__(
        self,
        *,
        permitted: Permitted,
        known: RememberedPermit,
        counted: Counted,
        point: Point,
        over: Over,
    ) -> None:
        self._permitted = permitted
        self._known = known
        self._counted = counted
        self._point = point
        self._forwarding = point.forwarding
        self._accounts = point.accounts
        self._over = over
        self._is_over = False
        self._warning = ""
        self._error: BaseException | None = None
        self._lease: Lease | None = None
        self._outgoing: Outgoing | None = None
        self._connection: UpstreamConnection | None = None
        self._relay: Relay | None = None

    def begin(self, decisions: DecisionLog) -> None:
        """Have its decision written down; all else follows from that.

        Raises:
            ProxyError: Its caller has too much under way, or it cannot be written; nothing was
                done.
        """
        permitted = self._permitted
        case = permitted.case
        payload = self._known.record.written(case.audit_id, case.received_at, case.peer.port)
        self._counted.begin()
        try:
            decisions.add_again(payload, self._logged)
        except BaseException:
            self._counted.end()
            raise
        self._accounts.metrics.in_flight.value += 1
        permitted.exchange.stream.watch(self._client_gone)

    def _logged(self, problem: ServiceUnavailable | None) -> None:
        """Send it, now that its decision stands in the log; ``problem`` says why it does not."""
        if problem is not None:
            self._hand_over(problem)
            return
        case = self._permitted.case
        case.stands_permitted()
        case.permit = self._permitted.permit
        self._accounts.count_permit_again(self._known)
        try:
            if self._error is None:
                self._send()
        except Exception as error:  # noqa: BLE001 - it is raised where it is answered
            self._hand_over(handed_over(error))
            return
        if self._connection is None:
            self._hand_over(self._error)

    def _send(self) -> None:
        """Send it where that takes no waiting; else there is no connection afterwards."""
        permitted, forwarding = self._permitted, self._forwarding
        self._lease = lease = forwarding.opened(permitted, self._cut)
        permit = lease.permit
        if permit.valid_until is not None or permit.attributes.subject.is_session:
            self._warning = known_end(permit, permitted.case.received_at)
        self._outgoing = outgoing = forwarding.outgoing(permitted, permitted.request)
        api_server = forwarding.api_server
        self._connection = connection = api_server.begin_now(outgoing)
        if connection is not None:
            connection.receive_by(self, api_server.timeouts.answer_seconds)

    def received(self, data: bytes) -> None:
        """Relay what has come of the answer, if it is all of it."""
        try:
            is_answered = self._relayed(data)
        except Exception as error:  # noqa: BLE001 - it is raised where it is answered
            self._hand_over(handed_over(error))
            return
        if is_answered:
            self._finish()
        else:
            self._hand_over(None)

    def broken(self, _: Exception) -> None:
        """Have the task find out what has become of the connection to kube-apiserver."""
        self._hand_over(None)

    def _relayed(self, data: bytes) -> bool:
        """Relay the answer, and whether that is done; nothing is sent of one that is not plain."""
        connection, outgoing, case = self._connection, self._outgoing, self._permitted.case
        if connection is None or outgoing is None:
            raise InternalError("an answer to nothing that was asked")
        whole = connection.whole_answer(data, outgoing.method)
        if whole is None:
            return False
        answer, body = whole
        check_answer(answer.head, self._permitted.permit.attributes.request, outgoing.upgrade)
        case.status_code = answer.head.status
        return self._permitted.exchange.relay_now(
            answer.relayed, body, audit_id=case.audit_id, warning=self._warning
        )

    def _finish(self) -> None:
        permitted, self._is_over = self._permitted, True
        try:
            if self._connection is not None:
                self._forwarding.api_server.end(self._connection)
            self._leave()
            self._accounts.metrics.in_flight.value -= 1
            self._accounts.close(permitted.exchange, permitted.case)
        finally:  # Its client waits for no bug of ours.
            self._over(is_answered=True)

    def _leave(self) -> None:
        lease, self._lease = self._lease, None  # Each holds the other, which refcounts cannot free.
        if lease is not None:
            lease.leave()
        self._counted.end()

    def _client_gone(self) -> None:
        """Have the task end it: nobody is there any more."""
        gone = DownstreamClosed("the client closed the connection")
        if self._lease is None:
            self._error = gone  # ``_logged`` follows.
        else:
            self._hand_over(gone)

    def _cut(self, ending: Ending) -> None:
        self._hand_over(None)
        if self._relay is not None:
            self._relay.cut(ending)

    def _hand_over(self, error: BaseException | None) -> None:
        if self._is_over:
            return
        self._is_over = True
        self._stand_still(error)
        self._over(is_answered=False)

    def _stand_still(self, error: BaseException | None) -> None:
        """Take no further step: the task does."""
        self._error = self._error or error
        self._permitted.exchange.stream.unwatch()
        if self._connection is not None:
            self._connection.stream.receive_by_nobody()
        if self._lease is not None and self._relay is None:
            self._relay = self._forwarding.relay(self._permitted)

    def go_on(self, error: BaseException | None = None) -> Coroutine[Any, Any, None]:
        """Carry it on in a task, from where it stands; ``error`` has come between."""
        self._is_over = True
        self._stand_still(error)
        return self._point.answer(self._permitted.exchange, self._permitted.case, self._rest())

    async def _rest(self) -> None:
        with ExitStack() as leaving:
            leaving.callback(self._leave)
            relay, outgoing = self._relay, self._outgoing
            if relay is None or outgoing is None or self._lease is None:
                raise handed_over(self._error or InternalError("a request that was never begun"))
            relay.hold_to(self._lease.bounds)
            relay.warn(self._warning)
            await relay.run(outgoing, self._connection, self._error)

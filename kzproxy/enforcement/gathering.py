"""One exchange whose answer is read whole before any of it goes to the client."""

import asyncio
from dataclasses import replace

from kzproxy.administrator.lease import Ending
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.enforcement.account_refusal import check_refusal
from kzproxy.enforcement.case import Case
from kzproxy.enforcement.held_bytes import Held, HeldBytes
from kzproxy.errors.anew import anew
from kzproxy.errors.kinds import DownstreamClosed, NotAcceptable
from kzproxy.http.messages import Length, RequestHead, ResponseHead
from kzproxy.metrics.registry import Metrics
from kzproxy.transport.exchange import Exchange
from kzproxy.upstream.answer import check_answer, client_headers
from kzproxy.upstream.api_server import ApiServer
from kzproxy.upstream.impersonation import Outgoing

# Of one worker: four of the longest lists of namespaces, of which one has a MiB for a thousand.
MAX_HELD_BYTES = 256 * 1024 * 1024
# Of one identity: the longest list.
MAX_HELD_BYTES_EACH = 64 * 1024 * 1024
_JSON = "application/json"
_WITH_JSON = frozenset({_JSON, "application/*", "*/*"})


def held_answers() -> HeldBytes:
    """Count the answers that a worker holds whole, until their clients have them."""
    return HeldBytes("answers", MAX_HELD_BYTES, MAX_HELD_BYTES_EACH)


class Gathering:
    """Asks kube-apiserver and answers the client, as long as the request's lease holds.

    Args:
        account: kzproxy's own name there: a 403 to it is kzproxy's fault, not the user's.
        case: Is told why the request ended, where it is cut.
        held: Counts what is held of the answer; its block is around all of this.
    """

    def __init__(
        self, api_server: ApiServer, account: str, metrics: Metrics, case: Case, held: Held
    ) -> None:
        self._api_server = api_server
        self._account = account
        self._metrics = metrics
        self._case = case
        self._held = held
        self._ending: Ending | None = None
        # While kube-apiserver is waited for, and nobody has ended that wait.
        self._waiting: asyncio.Timeout | None = None
        # While the client is answered.
        self._answered: Exchange | None = None

    def cut(self, ending: Ending) -> None:
        """Have ``run`` or ``answer`` end now, with the error of ``ending``."""
        if self._ending is not None:
            return
        self._ending = ending
        now = asyncio.get_running_loop().time()
        self._case.end_by(ending, now)
        stream = self._case.info.stream.value if self._case.info is not None else ""
        self._metrics.stream_cuts.labels(stream, ending.cause.value).inc()
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting.reschedule(now)
        if self._answered is not None:
            self._answered.break_off()

    async def run(
        self, outgoing: Outgoing, body: bytes, info: RequestInfo, *, max_bytes: int
    ) -> tuple[ResponseHead, bytes]:
        """Return the answer's head, which may be relayed, and its body.

        Raises:
            ProxyError: There is none, or the lease has ended.
        """
        answer, received = await self._gathered(outgoing, body, max_bytes)
        check_answer(answer, info, upgrade="")
        check_refusal(answer, info, received, self._account, self._metrics)
        return answer, received

    async def _gathered(
        self, outgoing: Outgoing, body: bytes, max_bytes: int
    ) -> tuple[ResponseHead, bytes]:
        try:
            async with asyncio.timeout(None) as self._waiting:
                found = await self._api_server.gather(
                    outgoing,
                    body,
                    max_bytes=max_bytes,
                    confirm=self.check,
                    hold=self._held.hold,
                )
        except TimeoutError:
            self.check()
            raise
        finally:
            self._waiting = None
        self.check()
        return found

    async def answer(self, exchange: Exchange, head: ResponseHead, body: bytes) -> None:
        """Answer with a head that came from upstream, and a body that is no longer as it came.

        Raises:
            ProxyError: The lease has ended; nothing was sent, or nothing more.
            DownstreamClosed: The client has gone.
        """
        self.check()
        self._held.hold(len(body))
        self._case.status_code = head.status
        headers = (("audit-id", self._case.audit_id), *client_headers(head))
        answer = replace(head, headers=headers, body=Length(len(body)), keep_alive=True)
        self._answered = exchange
        try:
            await exchange.respond(answer, body)
        except DownstreamClosed:
            self.check()
            raise
        finally:
            self._answered = None
        self.check()

    def check(self) -> None:
        """Refuse to go on once the lease has ended.

        Raises:
            ProxyError: It has.
        """
        if self._ending is not None:
            raise anew(self._ending.error)


def accepting_json(request: RequestHead) -> tuple[tuple[str, str], ...]:
    """Return the headers of ``request`` so that the answer comes as plain JSON.

    What the client wants to have it as, such as a Table, is left as it is.

    Raises:
        NotAcceptable: The client takes no JSON.
    """
    ranges = [each.strip() for value in request.values("accept") for each in value.split(",")]
    of_json = [each for each in ranges if each.partition(";")[0].strip().lower() in _WITH_JSON]
    if ranges and not of_json:
        raise NotAcceptable(f"kzproxy gives this answer as {_JSON} alone, which was not asked for")
    # A wildcard would let kube-apiserver choose.
    accept = ",".join(
        [_JSON + each.strip()[len(each.strip().partition(";")[0]) :] for each in of_json]
    )
    kept = [each for each in request.headers if each[0] not in ("accept", "accept-encoding")]
    return (*kept, ("accept", accept or _JSON))

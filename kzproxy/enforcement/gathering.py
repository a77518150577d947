"""One exchange whose answer is read whole before any of it goes to the client."""

import asyncio

from kzproxy.administrator.lease import Ending
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.enforcement.account_refusal import check_refusal
from kzproxy.enforcement.case import Case
from kzproxy.errors.anew import anew
from kzproxy.errors.kinds import NotAcceptable
from kzproxy.http.messages import RequestHead, ResponseHead
from kzproxy.metrics.registry import Metrics
from kzproxy.upstream.answer import check_answer
from kzproxy.upstream.api_server import ApiServer
from kzproxy.upstream.impersonation import Outgoing

_JSON = "application/json"
_WITH_JSON = frozenset({_JSON, "application/*", "*/*"})


class Gathering:
    """Asks kube-apiserver, as long as the request's lease holds.

    Args:
        account: kzproxy's own name there: a 403 to it is kzproxy's fault, not the user's.
        case: Is told why the request ended, where it is cut.
    """

    def __init__(self, api_server: ApiServer, account: str, metrics: Metrics, case: Case) -> None:
        self._api_server = api_server
        self._account = account
        self._metrics = metrics
        self._case = case
        self._ending: Ending | None = None
        # While kube-apiserver is waited for, and nobody has ended that wait.
        self._waiting: asyncio.Timeout | None = None

    def cut(self, ending: Ending) -> None:
        """Have ``run`` end now, with the error of ``ending``."""
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
                    outgoing, body, max_bytes=max_bytes, confirm=self.check
                )
        except TimeoutError:
            self.check()
            raise
        finally:
            self._waiting = None
        self.check()
        return found

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

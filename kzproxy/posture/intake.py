"""Taking the report that a device sends when its session is renewed."""

import logging
from typing import Protocol

from cryptography.hazmat.primitives.asymmetric import ec

from kzproxy.clock.system import Clock
from kzproxy.errors.kinds import ServiceUnavailable
from kzproxy.posture.book import PostureBook
from kzproxy.posture.checks import REPORTED, SELF_SOURCE, self_record
from kzproxy.posture.keeper import PostureKeeper
from kzproxy.posture.report import Report, ReportRefused, verified_report

log = logging.getLogger(__name__)


class TakesNonces(Protocol):
    """Knows which nonces are good, once each."""

    async def take(self, nonce: str) -> bool:
        """Use a nonce; whether it was good.

        Raises:
            ServiceUnavailable: Nobody can tell.
        """


class PostureIntake:
    """Takes reports. A bad one costs its device what it says, and never the sign-in."""

    def __init__(
        self,
        *,
        audience: str,
        nonces: TakesNonces,
        book: PostureBook,
        keeper: PostureKeeper,
        clock: Clock,
    ) -> None:
        self._audience = audience
        self._nonces = nonces
        self._book = book
        self._keeper = keeper
        self._counts = keeper.counts
        self._clock = clock

    async def take(
        self, report: str, key: ec.EllipticCurvePublicKey, *, device_id: str, session: str
    ) -> str:
        """Verify and keep a report; never raises for what is in it.

        Args:
            report: As it was sent.
            key: Whose private half the client has shown to have, now and in TLS.
            device_id: Of the approved device whose key it is; empty where it is none's: what it
                says would be of nobody, and is not looked at.
            session: Its id.

        Returns:
            Why the report is not believed, for the user; empty where it is.
        """
        if not device_id:
            return ""
        try:
            await self._take(report, key, device_id, session)
        except ReportRefused as refused:
            self._counts.refused += 1
            return f"the posture report was not taken: {refused}"
        except ServiceUnavailable as error:
            log.warning("a posture report cannot be kept: %s", error.detail)
            return "the posture report cannot be kept now; the next one may be"
        self._counts.reports += 1
        return ""

    async def _take(
        self, report: str, key: ec.EllipticCurvePublicKey, device_id: str, session: str
    ) -> None:
        said = verified_report(
            report, key, audience=self._audience, now=self._clock.now(), names=REPORTED
        )
        # Last, so that only whoever has the key can use up a nonce.
        if not await self._nonces.take(said.nonce):
            raise ReportRefused("its nonce is none of ours, too old, or was used before")
        await self._keep(said, device_id, session)

    async def _keep(self, said: Report, device_id: str, session: str) -> None:
        before = self._book.record(device_id, SELF_SOURCE)
        now = self._clock.now()
        record = self_record(said, device_id, self._book.settings, now, before)
        await self._keeper.keep(record, session)

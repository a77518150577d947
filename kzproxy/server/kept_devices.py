"""The registry of devices put together, where the configuration has devices and a store."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from kzproxy.administrator.administrator import Administrator
from kzproxy.administrator.device_administration import DeviceAdministration
from kzproxy.administrator.session_directory import SessionDirectory
from kzproxy.audit.events import EventLog
from kzproxy.clock.system import Clock
from kzproxy.devices.device_certificate import DeviceAuthority
from kzproxy.devices.enrolment import Enrolment
from kzproxy.devices.enrolment_settings import EnrolmentSettings
from kzproxy.devices.enrolment_token import EnrolmentTokens
from kzproxy.devices.issuing import CertificateIssuer
from kzproxy.devices.registry import DeviceRegistry
from kzproxy.errors.kinds import ServiceUnavailable
from kzproxy.metrics.registry import Metrics
from kzproxy.store.following import Following
from kzproxy.store.nonces import Nonces
from kzproxy.store.store import Store
from kzproxy.web.address_limits import AddressLimit
from kzproxy.web.device_enrolment import Callers, DeviceEnrolment, EnrolmentParts

log = logging.getLogger(__name__)

_NOTED_EVERY_SECONDS = 60.0


@dataclass(slots=True, kw_only=True)
class KeptDevices:
    """What is kept of devices.

    Attributes:
        believed_otherwise: Called where all devices may be judged otherwise.
        enrolment: None while the configuration in force issues nothing.
    """

    registry: DeviceRegistry
    tokens: EnrolmentTokens
    administration: DeviceAdministration
    events: EventLog
    clock: Clock
    believed_otherwise: Callable[[], None]
    enrolment: Enrolment | None = None

    def install(
        self,
        authority: DeviceAuthority | None,
        issuer: CertificateIssuer | None,
        settings: EnrolmentSettings,
    ) -> None:
        """Go by these from now on.

        Args:
            authority: Whose certificates are devices; None: nobody's.
            issuer: Issues certificates; None: nobody does.
            settings: Of enrolment.
        """
        believed = frozenset[str]()
        if authority is not None:
            # With an issuer of our own, what the device CA vouches for must be in the registry.
            believed = authority.fingerprints if issuer is None else authority.managed
        if self.registry.believe(believed):
            self.believed_otherwise()
        if issuer is None:
            self.enrolment = None
        elif self.enrolment is None:
            self.enrolment = Enrolment(
                self.registry, self.tokens, issuer, self.events, self.clock, settings
            )
        else:
            self.enrolment.issuer, self.enrolment.settings = issuer, settings

    def present_enrolment(self) -> Enrolment:
        """Return what enrols by the configuration in force.

        Raises:
            ServiceUnavailable: Nothing does.
        """
        if self.enrolment is None:
            raise ServiceUnavailable("this kzproxy issues no device certificates")
        return self.enrolment

    def endpoints(
        self, nonces: Nonces, callers: Callers, url: str, refused: AddressLimit
    ) -> DeviceEnrolment:
        """Return what serves enrolment on the sign-in listener, whatever is in force.

        Args:
            nonces: That proofs are over.
            callers: Knows who is signed in.
            url: ``signIn.url``.
            refused: Of requests that an address may send in vain.
        """
        return DeviceEnrolment(
            EnrolmentParts(
                enrolment=self.present_enrolment,
                nonces=nonces,
                callers=callers,
                changed=self.administration.settle,
                refused=refused,
            ),
            url=url,
        )

    async def run(self) -> None:
        """Write down now and then which devices were heard of, until cancelled."""
        while True:
            await asyncio.sleep(_NOTED_EVERY_SECONDS)
            await self.note_seen()

    async def note_seen(self) -> None:
        """Write down which devices were heard of since this was last called."""
        try:
            await self.registry.note_seen()
        except ServiceUnavailable as error:
            log.warning("it cannot be noted which devices were heard of: %s", error.detail)


def follow_devices(metrics: Metrics, kept: KeptDevices) -> None:
    """Have ``metrics`` show what is counted."""

    def requests() -> dict[tuple[str, ...], int]:
        outcomes = {} if kept.enrolment is None else kept.enrolment.outcomes
        return {(name,): outcomes.get(name, 0) for name in ("issued", "pending", "refused")}

    metrics.follow_each(
        "kzproxy_device_certificate_requests",
        "Requests of devices for a certificate, at enrolment and later.",
        ("outcome",),
        requests,
    )


def keep_devices(
    store: Store,
    following: Following,
    sessions: SessionDirectory,
    administrator: Administrator,
    events: EventLog,
    clock: Clock,
) -> KeptDevices:
    """Put it together; ``following`` has not started."""
    registry = DeviceRegistry(store, following)
    tokens = EnrolmentTokens(store)
    registry.on_change(administrator.judge_devices_again)
    registry.on_key_change(administrator.judge_keys_again)
    administrator.consult(registry)
    return KeptDevices(
        registry=registry,
        tokens=tokens,
        administration=DeviceAdministration(registry, sessions, tokens, events),
        events=events,
        clock=clock,
        believed_otherwise=administrator.judge_all_again,
    )

"""What is remembered of signals, wired: told by the store, asked by the administrator."""

from datetime import datetime

import msgspec

from kzproxy.administrator.administrator import Administrator
from kzproxy.administrator.concern import Concern
from kzproxy.administrator.device_signals import (
    ANY_DEVICE,
    Compliance,
    RevokedCertificate,
    RevokedCertificates,
)
from kzproxy.administrator.restating import StatesDevice
from kzproxy.administrator.revocations import Revocations, who_is
from kzproxy.administrator.risks import Risks
from kzproxy.administrator.session import SessionRecord
from kzproxy.administrator.session_directory import SessionDirectory
from kzproxy.attributes.device import DevicePosture
from kzproxy.attributes.identity import Identity
from kzproxy.store.following import Following


class KeptSignals(msgspec.Struct, frozen=True, kw_only=True):
    """The views; requests are judged by them from when the store is followed."""

    revocations: Revocations
    risks: Risks
    compliance: Compliance
    certificates: RevokedCertificates

    @property
    def of_devices(self) -> tuple[StatesDevice, ...]:
        """Those that know something of devices; to be asked after all others."""
        return self.certificates, self.compliance, self.risks

    def check(self, subject: Identity, device: DevicePosture) -> None:
        """Refuse a caller whose credential is not taken any more.

        Raises:
            Unauthenticated: It is so.
        """
        self.revocations.check(subject, device)

    def check_sign_in(self, record: SessionRecord, begun_at: datetime) -> None:
        """Refuse a session before it begins whose sign-in was revoked while it was under way.

        Raises:
            Unauthenticated: It is so.
        """
        self.revocations.check_sign_in(record, begun_at)

    def judged_as(self, subject: Identity, device: DevicePosture) -> Identity:
        """Return a caller with what is known beside their credential: the risk."""
        return self.risks.of_person(subject, device)


def keep_signals(
    administrator: Administrator,
    following: Following,
    sessions: SessionDirectory,
    *,
    are_taken: bool = True,
) -> KeptSignals:
    """Make the views, and have what is under way judged again by what they come to know.

    To be called before ``following`` starts, and after whoever says what devices are, which these
    may contradict. Where signals ``are_taken``, tokens of issuers too are refused while nobody can
    tell what has been revoked.
    """

    def concerned(concern: Concern) -> None:
        if concern.subject and concern.issuers:
            users = frozenset((issuer, concern.subject) for issuer in concern.issuers)
            administrator.judge_users_again(users)
        elif concern.device_id:
            administrator.judge_devices_again(frozenset({concern.device_id}))
        else:
            administrator.judge_again_where(
                lambda known: concern.covers(who_is(known.subject, known.device, sessions.find))
            )

    def device_concerned(device_id: str) -> None:
        if device_id == ANY_DEVICE:
            administrator.judge_all_again()
        else:
            administrator.judge_devices_again(frozenset({device_id}))

    def certificate_concerned(revoked: RevokedCertificate) -> None:
        administrator.judge_again_where(lambda attributes: revoked.covers(attributes.device))

    problem = following.problem if are_taken else lambda: None
    unreadable = following.unreadable
    kept = KeptSignals(
        revocations=Revocations(sessions.find, concerned, problem, unreadable),
        risks=Risks(sessions.find, concerned, unreadable),
        compliance=Compliance(device_concerned, unreadable),
        certificates=RevokedCertificates(certificate_concerned, unreadable),
    )
    # A certificate that is no device's has no device to say anything about: it comes first.
    for view in (kept.certificates, kept.revocations, kept.risks, kept.compliance):
        following.follow(view)
        administrator.consult(view)
    return kept

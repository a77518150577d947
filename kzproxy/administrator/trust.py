"""Whose word counts: what facts about a caller hold only for as long as it does."""

import msgspec
from msgspec.structs import replace

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import DevicePosture, Fact
from kzproxy.attributes.identity import Identity
from kzproxy.errors.kinds import Unauthenticated


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """Who is believed by the configuration in force.

    Attributes:
        issuers: The ``vouched_by`` of identities that hold.
        device_authorities: The ``vouched_by`` of devices that hold.
        managed_authorities: Those of them that vouch for more: that a device is managed.
    """

    issuers: frozenset[str]
    device_authorities: frozenset[str]
    managed_authorities: frozenset[str] = frozenset()

    def covers(self, attributes: Attributes) -> bool:
        """Whether all facts of a request hold as they are."""
        device = attributes.device  # Written out: every request asks.
        if attributes.subject.vouched_by not in self.issuers:
            return False
        if device.enrolled is not Fact.PASSED:
            return True
        authority = device.vouched_by
        if device.managed is Fact.PASSED and authority not in self.managed_authorities:
            return False
        return authority in self.device_authorities

    def restate(self, attributes: Attributes) -> Attributes:
        """Return the facts of a request as they stand now: a device may not be vouched for.

        Raises:
            Unauthenticated: Nobody who is believed vouches for its subject.
        """
        if not self._believes(attributes.subject):
            raise Unauthenticated(
                "the issuer of your token is no longer believed as it was when the request began;"
                " try again, and if that is refused sign in with `kzproxy login`"
            )
        if not self._doubts(attributes.device):
            return self._restate_managed(attributes)
        device = replace(
            attributes.device,
            enrolled=Fact.FAILED,
            device_id="",
            vouched_by="",
            managed=Fact.UNKNOWN,
            reason="the device certificate's authority is no longer believed;"
            " enrol the device again",
        )
        return replace(attributes, device=device)

    def _believes(self, subject: Identity) -> bool:
        return subject.vouched_by in self.issuers

    def _restate_managed(self, attributes: Attributes) -> Attributes:
        """Have a device be managed no longer whose authority does not vouch for that any more."""
        if not self._doubts_managed(attributes.device):
            return attributes
        return replace(attributes, device=replace(attributes.device, managed=Fact.UNKNOWN))

    def _doubts_managed(self, device: DevicePosture) -> bool:
        # Of one that is no device any more, whatever was said once counts for nothing.
        is_managed = device.enrolled is Fact.PASSED and device.managed is Fact.PASSED
        return is_managed and device.vouched_by not in self.managed_authorities

    def _doubts(self, device: DevicePosture) -> bool:
        return device.enrolled is Fact.PASSED and device.vouched_by not in self.device_authorities


NOBODY = Trust(issuers=frozenset(), device_authorities=frozenset())

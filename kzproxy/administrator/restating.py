"""Facts about a caller that others keep up to date: asked whenever a request is judged again."""

from datetime import datetime
from typing import Protocol

from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.device import DevicePosture


class StatesDevice(Protocol):
    """Knows more of a device than its certificate says."""

    def stated(self, posture: DevicePosture) -> DevicePosture:
        """Return what is so of the device: the same object for as long as nothing changes.

        Never waits.

        Raises:
            ServiceUnavailable: Nobody can tell.
        """


class Restates(Protocol):
    """Knows some facts of a request as they are now."""

    def restate(self, attributes: Attributes, now: datetime) -> Attributes:
        """Return the facts as they stand at ``now``: the very same object where nothing changed.

        Never waits.

        Raises:
            ProxyError: Whoever calls is nobody any more, or nobody can tell.
        """

"""Everything a decision may depend on."""

from dataclasses import dataclass

from kzproxy.attributes.device import DevicePosture
from kzproxy.attributes.environment import Environment
from kzproxy.attributes.identity import Identity
from kzproxy.attributes.request_info import RequestInfo


@dataclass(frozen=True, slots=True, kw_only=True)
class Attributes:
    """Who, from what device, asks what, when and from where."""

    subject: Identity
    device: DevicePosture
    request: RequestInfo
    environment: Environment

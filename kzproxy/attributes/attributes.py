"""Everything a decision may depend on."""

import msgspec

from kzproxy.attributes.api_object import ApiObject, Labels
from kzproxy.attributes.device import DevicePosture
from kzproxy.attributes.environment import Environment
from kzproxy.attributes.identity import Identity
from kzproxy.attributes.request_info import RequestInfo


class Attributes(msgspec.Struct, frozen=True, kw_only=True):
    """Who, from what device, asks what, when and from where.

    Attributes:
        namespace_labels: Of the request's namespace, sorted by key; None where the request has no
            namespace or nothing is known of it.
        api_object: None where no rule asked for it (``PolicyEngine.needs_object``).
    """

    subject: Identity
    device: DevicePosture
    request: RequestInfo
    environment: Environment
    namespace_labels: Labels | None = None
    api_object: ApiObject | None = None

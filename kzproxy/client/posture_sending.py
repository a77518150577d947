"""The machine's posture, for a renewal: where the collectors are there, and never at its cost."""

import importlib
from collections.abc import Callable

from kzproxy.client.device_key import DeviceKey


def posture_report(key: DeviceKey, audience: str, nonce: Callable[[], str]) -> str:
    """Return a signed report; empty where none can be made.

    The collectors keep to two seconds in all. Whatever goes wrong with them, the session is
    renewed: what policy makes of a report that is missing is the server's business.

    Args:
        key: Signs it.
        audience: The sign-in's URL.
        nonce: Returns the server's, or an empty string where it wants no report.
    """
    try:
        module = importlib.import_module("kzproxy.client.posture.report")
        given = nonce()
        return str(module.signed_report(key, audience, given)) if given else ""
    except Exception:  # noqa: BLE001 - see above
        return ""

"""The machine's posture, for a renewal: never at its cost."""

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
        given = nonce()
        if not given:
            return ""
        from kzproxy.client.posture.report import signed_report

        return signed_report(key, audience, given)
    except Exception:  # noqa: BLE001 - see above
        return ""

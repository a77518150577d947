"""The state of a device as people read it."""

from collections.abc import Iterator
from datetime import datetime

from kzproxy.client.notices import visible
from kzproxy.client.proxy_server import Document

_WHEN = "%Y-%m-%d %H:%M"


def posture_lines(device: Document) -> Iterator[str]:
    """Say what is known of the state of a device; nothing where nothing is."""
    posture = device.get("posture")
    if not isinstance(posture, dict):
        return
    system = f"{posture.get('os', '')} {posture.get('osVersion', '')}".strip()
    yield _line("posture", f"{_moment(posture.get('observedAt'))}  {system}".rstrip())
    checks = posture.get("checks")
    for check in checks if isinstance(checks, list) else []:
        if isinstance(check, dict):
            yield _check(check)
    disputed = posture.get("disputed")
    if isinstance(disputed, list) and disputed:
        names = ", ".join(str(name) for name in disputed)
        yield _line("alarm", f"sources contradict each other about {names}")
    if drift := posture.get("drift"):
        yield _line("alarm", f"it says that it is another machine than at first ({drift})")


def _check(check: Document) -> str:
    why = str(check.get("why") or "")
    source = str(check.get("source") or "")
    told = f"{source}: {why}" if why else source
    return visible(f"    {check.get('name')!s:<16} {check.get('fact')!s:<8} {told}".rstrip())


def _line(label: str, text: str) -> str:
    return visible(f"  {label:<12} {text}")


def _moment(value: object) -> str:
    try:
        return f"{datetime.fromisoformat(str(value)).astimezone():{_WHEN}}"
    except ValueError:
        return ""

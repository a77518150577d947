"""Devices as people read them."""

from collections.abc import Iterable, Iterator
from datetime import datetime

import click

from kzproxy.cli.device_posture_report import posture_lines
from kzproxy.cli.table import table_lines
from kzproxy.client.notices import visible
from kzproxy.client.proxy_server import Document

_WHEN = "%Y-%m-%d %H:%M"
_LABELS = {
    "name": "name",
    "user": "user",
    "platform": "platform",
    "serial": "serial",
    "enrolledAt": "enrolled",
    "approvedAt": "approved",
    "blockedAt": "blocked",
    "lastSeen": "last seen",
    "certificateEndsAt": "certificate",
    "sessions": "sessions",
    "keyThumbprint": "key",
}


def print_devices(devices: Iterable[Document]) -> None:
    """Print a table."""
    columns = ("ID", "NAME", "USER", "STATE", "PLATFORM", "ENROLLED", "SEEN", "SESSIONS")
    for line in table_lines(columns, [_row(one) for one in devices]):
        click.echo(line)


def _row(one: Document) -> list[object]:
    cells = [one.get(name) for name in ("id", "name", "user", "state", "platform")]
    times = [moment(one.get(name)) for name in ("enrolledAt", "lastSeen")]
    return [*cells, *times, one.get("sessions", 0)]


def device_lines(device: Document) -> Iterator[str]:
    """Say all of one device."""
    yield visible(f"{device.get('id')}: {device.get('state')}")
    for name, label in _LABELS.items():
        if name in device:
            yield visible(f"  {label:<12} {moment(device[name])}{_more(device, name)}")
    if other := device.get("sameSerialAs"):
        yield visible(f"  {'note':<12} device {other} has given the same serial number before")
    yield from posture_lines(device)


def _more(device: Document, name: str) -> str:
    match name:
        case "serial":
            return "" if device.get("serialConfirmed") else " (as it says itself; not confirmed)"
        case "approvedAt":
            return f" by {device.get('approvedBy')} ({device.get('approvedHow')})"
        case "blockedAt":
            reason = device.get("blockedReason")
            return f" by {device.get('blockedBy')}" + (f": {reason}" if reason else "")
        case _:
            return ""


def moment(value: object) -> str:
    """Return a time as it is here; anything else as it is."""
    text = "" if value is None else str(value)
    try:
        return f"{datetime.fromisoformat(text).astimezone():{_WHEN}}" if "T" in text else text
    except ValueError:
        return text

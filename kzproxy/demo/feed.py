"""Decisions as they fall, for people: the decision log, followed and put into colour.

Nothing is decided or kept here. What cannot be understood is passed over, as the log's rules for
readers ask (docs/reference/decision-log.md).
"""

import asyncio
import json
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from rich.text import Text

from kzproxy.demo.sample import NAME_PREFIX

LOUD_RULE = "break-glass"
POLL_SECONDS = 0.2
MAX_READ_BYTES = 1024 * 1024
MAX_REMEMBERED = 512
# kubectl asks for dozens of discovery documents in one go; one line for them says enough.
DISCOVERY_QUIET = timedelta(seconds=10)
ERROR_STATUS = 400

_LABELS = {
    "permit": ("allow", "green"),
    "deny": ("DENY", "bold red"),
    "challenge": ("sign in", "bold yellow"),
    "refused": ("refused", "magenta"),
}
_LOUD = ("BREAK-GLASS", "bold black on yellow")
_LABEL_COLUMNS = 11
_USER_COLUMNS = 10
_INDENT = " " * (len("HH:MM:SS") + 1 + _LABEL_COLUMNS + 1)

Record = Mapping[str, Any]


class Feed:
    """Turns records into lines; it remembers just enough to leave noise out."""

    def __init__(self) -> None:
        self._discovery: dict[str, datetime] = {}
        self._permitted: OrderedDict[str, Record] = OrderedDict()

    def lines(self, record: Record) -> list[Text]:
        """Return what to show for a record; nothing for most kinds."""
        try:
            match record.get("kind"):
                case "decision":
                    return self._decision(record)
                case "completed":
                    return self._completed(record)
                case _:
                    return []
        except (AttributeError, KeyError, TypeError, ValueError):
            return []

    def _decision(self, record: Record) -> list[Text]:
        verdict = record["decision"]
        if verdict == "permit":
            self._remember(record)
            if self._is_discovery_noise(record):
                return []
        line = _line(record, *_label(record))
        line.append(f"  {_reason(record)}", style="dim")
        explanation = record.get("hint") or (record.get("message") if verdict != "permit" else "")
        if not explanation:
            return [line]
        return [line, Text(f"{_INDENT}{explanation}", style="italic red")]

    def _completed(self, record: Record) -> list[Text]:
        """Show how a stream ended, and what kube-apiserver refused in its turn."""
        decision = self._permitted.pop(record["audit_id"], None)
        if decision is None:
            return []
        status = record.get("status_code") or 0
        ending = "" if record["termination"] == "normal" else f" ({record['termination']})"
        if status >= ERROR_STATUS:
            line = _line({**decision, "ts": record["ts"]}, f"-> {status}", "yellow")
            return [line.append(f"  by kube-apiserver{ending}", style="dim")]
        if not decision["request"].get("stream"):
            return []
        seconds = float(record.get("duration_ms", 0)) / 1000
        line = _line({**decision, "ts": record["ts"]}, "ended", "cyan")
        return [line.append(f"  after {seconds:.1f} s{ending}", style="dim")]

    def _remember(self, record: Record) -> None:
        self._permitted[record["audit_id"]] = record
        while len(self._permitted) > MAX_REMEMBERED:
            self._permitted.popitem(last=False)

    def _is_discovery_noise(self, record: Record) -> bool:
        if record["request"].get("resource") or record.get("rule") == LOUD_RULE:
            return False
        user, now = record["user"]["name"], datetime.fromisoformat(record["ts"])
        last = self._discovery.get(user)
        self._discovery = {name: at for name, at in self._discovery.items() if _recent(at, now)}
        self._discovery[user] = now
        return last is not None and _recent(last, now)


async def follow(path: Path, *, from_byte: int) -> AsyncIterator[Record]:
    """Yield the records that are appended to ``path`` after ``from_byte``, without an end.

    A line that is not a JSON object is passed over.
    """
    rest, place = b"", from_byte
    while True:
        part = _read(path, place)
        place += len(part)
        *lines, rest = (rest + part).split(b"\n")
        for line in lines:
            record = _parsed(line)
            if record is not None:
                yield record
        if not part:
            await asyncio.sleep(POLL_SECONDS)


def _read(path: Path, place: int) -> bytes:
    """Return what is there past ``place``, up to a bound. A local file does not block for long."""
    try:
        with path.open("rb") as log:
            log.seek(place)
            return log.read(MAX_READ_BYTES)
    except FileNotFoundError:
        return b""


def _parsed(line: bytes) -> Record | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) else None


def _line(record: Record, label: str, style: str) -> Text:
    moment = datetime.fromisoformat(record["ts"]).astimezone()
    user = (record.get("user") or {}).get("name", "?").removeprefix(NAME_PREFIX)
    line = Text(f"{moment:%H:%M:%S} ", style="dim")
    line = Text.assemble(line, (f"{label:<{_LABEL_COLUMNS}}", style), " ")
    line.append(f"{user:<{_USER_COLUMNS}} ", style="bold")
    return line.append(_action(record["request"]))


def _label(record: Record) -> tuple[str, str]:
    if record["decision"] == "permit" and record.get("rule") == LOUD_RULE:
        return _LOUD
    return _LABELS.get(record["decision"], (str(record["decision"]), "white"))


def _action(request: Record) -> str:
    """Return what was asked, as one would say it to kubectl."""
    resource = request.get("resource", "")
    if not resource:
        return f"{request['method']} {request.get('path') or request['target']}"
    subresource = f"/{request['subresource']}" if request.get("subresource") else ""
    words = [request.get("verb", ""), f"{resource}{subresource}", request.get("name", "")]
    if request.get("namespace"):
        words.append(f"-n {request['namespace']}")
    return " ".join(word for word in words if word)


def _reason(record: Record) -> str:
    rule = record.get("rule")
    reason = f"rule {rule}" if rule else str(record["cause"])
    if record["cause"] == "no-rule":
        reason = "no rule allows it"
    device = (record.get("device") or {}).get("id")
    return f"{reason}, from {device}" if device else reason


def _recent(moment: datetime, now: datetime) -> bool:
    return now - moment < DISCOVERY_QUIET

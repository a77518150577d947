"""One line for people from one record: pure."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

from kzproxy.audit.visible import MAX_TARGET_CHARS, visible


class Tone(StrEnum):
    """How a line is meant; whoever shows it has a colour for it."""

    GOOD = "good"
    BAD = "bad"
    QUIET = "quiet"


class Summary(msgspec.Struct, frozen=True):
    """A line that is safe to print: a log may have been written by somebody else."""

    text: str
    tone: Tone


def summarize(record: Mapping[str, Any]) -> Summary:
    """Say in a line what a record of the decision log says."""
    time = str(record.get("ts", ""))[11:23].removesuffix("Z")
    match record.get("kind"):
        case "decision":
            text, tone = _decision(record), _tone(record)
        case "completed":
            text, tone = _completed(record), _tone_of(record.get("termination"))
        case "signal.received":
            text, tone = _signal(record), _tone_of(record.get("outcome"))
        case "signal.refused":
            text, tone = f"-- signal.refused{_details(record, _REFUSED_SIGNAL)}", Tone.BAD
        case "event":
            text, tone = _event(record), Tone.BAD if record.get("refused") else Tone.QUIET
        case kind:
            text, tone = f"-- {kind}{_details(record, _LIFECYCLE)}", Tone.QUIET
    return Summary(visible(f"{time} {text}", MAX_TARGET_CHARS), tone)


_KEY_CHARS = 16
_SHOWN_DETAILS = ("state", "how", "for_user")
_REFUSED_SIGNAL = ("stream", "error", "message", "id", "address", "left_out")
_LIFECYCLE = ("after", "refused", "lost", "torn_bytes", "kzproxy_version")
# What was permitted and yet not served, or no longer; and a signal that is not taken.
_NO = ("refused", "policy-cut", "not-allowed")


def _tone_of(end: object) -> Tone:
    return Tone.BAD if end in _NO else Tone.QUIET


def _tone(record: Mapping[str, Any]) -> Tone:
    return Tone.GOOD if record.get("decision") == "permit" else Tone.BAD


def _decision(record: Mapping[str, Any]) -> str:
    user = str(_part(record, "user").get("name", "-"))
    why = record.get("rule") or record.get("cause")
    parts = [f"{record.get('decision')!s:7}", user, _request(_part(record, "request"))]
    parts.append(f"[{why}]")
    if record.get("decision") != "permit" and (said := record.get("hint") or record.get("message")):
        parts.append(str(said))
    parts.append(f"audit={record.get('audit_id')}")
    return " ".join(parts)


def _request(request: Mapping[str, Any]) -> str:
    if "resource" not in request:
        target = request.get("path") or request.get("target", "")
        return f"{request.get('verb') or request.get('method', '')} {target}"
    resource = "/".join(str(request[key]) for key in ("resource", "subresource") if key in request)
    group = f".{request['group']}" if "group" in request else ""
    namespace = f" -n {request['namespace']}" if "namespace" in request else ""
    name = f" {request['name']}" if "name" in request else ""
    return f"{request.get('verb')} {resource}{group}{name}{namespace}"


def _event(record: Mapping[str, Any]) -> str:
    user, device = _part(record, "user"), _part(record, "device")
    parts = [f"-- {record.get('event')}", "refused" if record.get("refused") else ""]
    parts.append(_named("user", user.get("name")))
    parts.append(_named("device", device.get("id")))
    if "id" not in device:
        parts.append(_named("key", str(device.get("key_thumbprint", ""))[:_KEY_CHARS]))
    parts += [_named(name, record.get(name)) for name in ("session", "by")]
    details = _part(record, "details")
    parts += [_named(name, details.get(name)) for name in _SHOWN_DETAILS]
    parts.append(str(record.get("message", "")))
    return " ".join(part for part in parts if part)


def _named(name: str, value: object) -> str:
    return f"{name}={value}" if value else ""


def _part(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    part = record.get(name)
    return part if isinstance(part, Mapping) else {}


def _completed(record: Mapping[str, Any]) -> str:
    details = _details(record, ("status_code", "bytes_in", "bytes_out", "duration_ms", "message"))
    return f"  ended {record.get('termination')}{details} audit={record.get('audit_id')}"


def _signal(record: Mapping[str, Any]) -> str:
    whom = "".join(f" {name}={value}" for name, value in _part(record, "subject").items())
    parts = [f"-- signal {record.get('stream')}: {record.get('event')}{whom}"]
    parts.append(f"[{record.get('outcome')}]")
    parts += [str(record[name]) for name in ("effect", "message") if name in record]
    sessions, omitted = record.get("sessions"), record.get("sessions_omitted", 0)
    if isinstance(sessions, list) and isinstance(omitted, int):
        parts.append(f"sessions={len(sessions) + omitted}")
    return " ".join([*parts, f"id={record.get('id')}"])


def _details(record: Mapping[str, Any], names: tuple[str, ...]) -> str:
    return "".join(f" {name}={record[name]}" for name in names if name in record)

"""What collectors find out, as values."""

from collections.abc import Mapping
from dataclasses import dataclass, field

MAX_TEXT_CHARS = 200
"""Of anything in a report: what a file or a program says is cut there."""


class Unknowable(Exception):
    """Why something cannot be told; for the user, in a few words."""


class Late(Unknowable):
    """It could not be found out in time: it says nothing new, neither good nor bad."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is so of one thing.

    Attributes:
        value: A truth or a number; None where it cannot be told.
        why: How it is known, or why it is not.
        source: Who says so: ``os``, or a program such as ``osquery``.
        details: What else a report has of it, by name.
        is_late: Whether it could not be found out in time. A report then leaves it out, so that
            what was known before counts until its time is over: a busy machine is not a bad one.
    """

    value: bool | int | None
    why: str
    source: str = "os"
    details: Mapping[str, str | int] = field(default_factory=dict)
    is_late: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Posture:
    """All that was found out; what cannot be told of a machine is empty.

    Attributes:
        agent: Name and version of what collected it.
        os: Of the operating system: platform, id, name, version, build, kernel, arch.
        hardware: Of the machine: serial, vendor, model, machine (an id made for kzproxy), tpm.
        checks: By name.
        missing: Why something of ``os`` or ``hardware`` is empty; by name.
        boot_id: Of this start of the machine; may be empty.
    """

    agent: tuple[str, str]
    os: Mapping[str, str]
    hardware: Mapping[str, str]
    checks: Mapping[str, Finding]
    missing: Mapping[str, str] = field(default_factory=dict)
    boot_id: str = ""


def cut(text: str) -> str:
    """Return ``text`` as a report may have it."""
    return "".join(character for character in text if character.isprintable())[:MAX_TEXT_CHARS]

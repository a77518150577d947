"""What the processes hold, over time: memory and descriptors."""

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from soak.verdict import Line

_PROC = Path("/proc")
_MIB = 1024 * 1024
_KIBIBYTE = 1024
# Of both workers over the second half, whatever its length: see docs/soak.md for the reason.
GROWTH_AT_MOST_MIB = 12.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What a process holds now."""

    pid: int
    resident_bytes: int
    descriptors: int

    @classmethod
    def by(cls, pid: int) -> "Held":
        """Look at a process.

        Raises:
            OSError: It has ended.
        """
        status = dict(
            line.split(":", 1) for line in (_PROC / str(pid) / "status").read_text().splitlines()
        )
        if "VmRSS" not in status:
            raise ProcessLookupError(pid)
        return cls(
            pid=pid,
            resident_bytes=int(status["VmRSS"].split()[0]) * _KIBIBYTE,
            descriptors=len(os.listdir(_PROC / str(pid) / "fd")),  # noqa: PTH208 - names alone
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The resident memory of all workers at one time."""

    seconds: float
    resident_bytes: int


def descriptor_kinds(pid: int) -> Counter[str]:
    """Return how many descriptors of each kind a process has open: sockets are one kind."""
    kinds: Counter[str] = Counter()
    for link in (_PROC / str(pid) / "fd").iterdir():
        try:
            kinds[str(link.readlink()).split(":")[0]] += 1
        except OSError:  # closed meanwhile
            continue
    return kinds


def slope(moments: Sequence[Moment]) -> float:
    """Return bytes a second, by least squares.

    Raises:
        ValueError: There are fewer than two moments.
    """
    if len(moments) < 2:
        raise ValueError("a slope needs two moments")
    middle_seconds = sum(each.seconds for each in moments) / len(moments)
    middle_bytes = sum(each.resident_bytes for each in moments) / len(moments)
    above = sum(
        (each.seconds - middle_seconds) * (each.resident_bytes - middle_bytes) for each in moments
    )
    return above / sum((each.seconds - middle_seconds) ** 2 for each in moments)


def memory_line(moments: Sequence[Moment], from_seconds: float) -> Line:
    """Say that the memory of all workers did not grow after ``from_seconds``."""
    name = "memory does not grow"
    late = [each for each in moments if each.seconds >= from_seconds]
    if len(late) < 2:
        return Line(name=name, found="nothing", problems=("fewer than two samples",))
    span = late[-1].seconds - late[0].seconds
    grown = slope(late) * span / _MIB
    found = (
        f"{grown:+.1f} MiB in {span:.0f} s (at most {GROWTH_AT_MOST_MIB:.0f}),"
        f" {late[0].resident_bytes / _MIB:.0f} to {late[-1].resident_bytes / _MIB:.0f} MiB"
    )
    wrong = grown > GROWTH_AT_MOST_MIB
    return Line(name=name, found=found, problems=(found,) if wrong else ())


def back_to(what: str, before: dict[str, float], after: dict[str, float]) -> Line:
    """Say that nothing in ``after`` is above what it was in ``before``, and nothing is gone."""
    return Line(
        name=what,
        found=", ".join(
            f"{name}: {after[name]:.0f} (began with {before[name]:.0f})" for name in after
        ),
        problems=(
            *(f"{name}: is not there any more" for name in before if name not in after),
            *(
                f"{name}: {after[name]:.0f}, at most {before[name]:.0f}"
                for name in after
                if after[name] > before[name]
            ),
        ),
    )

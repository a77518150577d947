"""Trees of files that stand for machines, and answers that stand for their programs."""

import os
from datetime import UTC, datetime
from pathlib import Path

from kzproxy.client.posture.commands import Said
from kzproxy.client.posture.finding import Unknowable
from kzproxy.client.posture.machine import Machine
from kzproxy.client.posture.tree import Tree

NOW = datetime(2026, 3, 4, 10, tzinfo=UTC)
DAY_SECONDS = 24 * 3600


class Answers:
    """Stands in for systemctl and gsettings: answers by the words that they were called with."""

    def __init__(self, said: dict[tuple[str, ...], Said] | None = None) -> None:
        self.said = said or {}

    def run(self, *words: str) -> Said:
        if words not in self.said:
            raise Unknowable(f"there is no program {words[0]}")
        return self.said[words]


class Systemd:
    """Stands in for ``systemctl is-active``: those units are active, the others are not there."""

    def __init__(self, *active: str) -> None:
        self.active = active

    def run(self, *words: str) -> Said:
        assert words[:3] == ("systemctl", "is-active", "--")
        states = ["active" if word in self.active else "inactive" for word in words[3:]]
        return Said(code=0 if "active" in states else 3, output="\n".join(states) + "\n")


class FixtureTree:
    """Writes files as a machine has them."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, path: str, content: str | bytes = "", *, age_days: float = 0) -> "FixtureTree":
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content if isinstance(content, bytes) else content.encode())
        at = NOW.timestamp() - age_days * DAY_SECONDS
        os.utime(place, (at, at))
        return self

    def directory(self, path: str) -> "FixtureTree":
        (self.root / path.lstrip("/")).mkdir(parents=True, exist_ok=True)
        return self

    def link(self, path: str, target: str) -> "FixtureTree":
        """Make a symbolic link to what ``target`` names in the tree, relative as /sys has them."""
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to(os.path.relpath(self.root / target.lstrip("/"), place.parent))
        return self

    def disk(self, name: str, number: str) -> str:
        """Add a whole disk; return its place in /sys."""
        place = f"/sys/devices/{name}"
        self.directory(f"{place}/slaves").block(place, name, number)
        return place

    def partition(self, disk: str, name: str, number: str) -> str:
        place = f"{disk}/{name}"
        self.write(f"{place}/partition", "1\n").block(place, name, number)
        return place

    def mapped(self, name: str, number: str, uuid: str, *below: str, called: str = "") -> str:
        """Add a device-mapper device above others."""
        place = f"/sys/devices/virtual/{name}"
        self.directory(f"{place}/slaves").block(place, name, number)
        self.write(f"{place}/dm/uuid", uuid + "\n").write(f"{place}/dm/name", called + "\n")
        for one in below:
            self.link(f"{place}/slaves/{one.rpartition('/')[2]}", one)
        return place

    def block(self, place: str, name: str, number: str) -> None:
        self.write(f"{place}/dev", number + "\n")
        self.link(f"/sys/dev/block/{number}", place)
        self.link(f"/sys/class/block/{name}", place)

    def mounts(self, *lines: str) -> "FixtureTree":
        return self.write("/proc/self/mountinfo", "".join(f"{line}\n" for line in lines))

    def machine(self, commands=None, session=None, home="/home/ana") -> Machine:
        return Machine(
            tree=Tree(self.root),
            commands=commands or Answers(),
            session=session or {},
            home=home,
            uid=1000,
            now=NOW,
        )


def mounted(place: str, number: str, kind: str = "ext4", source: str = "/dev/sda2") -> str:
    """Return a line of mountinfo."""
    return f"36 35 {number} / {place} rw,noatime shared:1 - {kind} {source} rw"

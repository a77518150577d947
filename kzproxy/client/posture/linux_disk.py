"""Linux: whether what is written to the disk is encrypted on it.

The block device below the file system is found in ``/sys``, and below that the devices that it is
made of, down to disks. What is encrypted must be so on every way down: of a mirror with one plain
half, half is plain.
"""

from dataclasses import dataclass

from kzproxy.client.posture.finding import Finding, Unknowable
from kzproxy.client.posture.machine import Machine
from kzproxy.client.posture.tree import Tree

_MOUNTS = "/proc/self/mountinfo"
_MAX_MOUNTS_BYTES = 1024 * 1024
_MAX_DEPTH = 16
_MAX_DEVICES = 256
# The kinds of device-mapper targets that encrypt, as cryptsetup names them in the uuid; not those
# that only check, CRYPT-VERITY and CRYPT-INTEGRITY.
_ENCRYPTING = ("CRYPT-LUKS", "CRYPT-PLAIN-", "CRYPT-TCRYPT-", "CRYPT-BITLK-", "CRYPT-FVAULT2-")
_NO_DEVICE = "0"  # major number of what has no block device of its own: btrfs, overlay, zfs
# Where a person's data is; what is not mounted by itself is on /.
_PLACES = ("/", "/home")
_ESCAPES = {"\\040": " ", "\\011": "\t", "\\012": "\n", "\\134": "\\"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mount:
    number: str
    kind: str
    source: str


def disk_encrypted(machine: Machine) -> Finding:
    """Tell whether the file systems of / and of /home are on encrypted devices alone."""
    mounts = _mounts(machine.tree.text(_MOUNTS, _MAX_MOUNTS_BYTES))
    places = [place for place in _PLACES if place in mounts]
    if "/" not in places:
        raise Unknowable(f"{_MOUNTS} names no /")
    plain = [place for place in places if not _on_encrypted(machine.tree, place, mounts[place])]
    if plain:
        return Finding(value=False, why=f"{' and '.join(plain)} on a device that is not encrypted")
    return Finding(value=True, why=f"{' and '.join(places)} on encrypted devices alone")


def _mounts(text: str) -> dict[str, _Mount]:
    """Read proc_pid_mountinfo(5); of several at one place the last one is seen there."""
    found: dict[str, _Mount] = {}
    for line in text.splitlines():
        before, separator, after = line.partition(" - ")
        fields, further = before.split(" "), after.split(" ")
        if not separator or len(fields) < 5 or len(further) < 2:
            continue
        found[_plain(fields[4])] = _Mount(
            number=fields[2], kind=further[0], source=_plain(further[1])
        )
    return found


def _plain(text: str) -> str:
    for escape, character in _ESCAPES.items():
        text = text.replace(escape, character)
    return text


def _on_encrypted(tree: Tree, place: str, mount: _Mount) -> bool:
    looked_at = _Looked(tree)
    return all(looked_at.is_encrypted(block) for block in _blocks(tree, place, mount))


def _blocks(tree: Tree, place: str, mount: _Mount) -> list[str]:
    """Return the directories in /sys of the devices that a file system is on."""
    if not mount.number.startswith(f"{_NO_DEVICE}:"):
        return [f"/sys/dev/block/{mount.number}"]
    if mount.kind == "btrfs" and mount.source.startswith("/dev/"):
        return _btrfs_blocks(tree, _block_of(tree, mount.source))
    raise Unknowable(f"{place} is on {mount.kind}, below which kzproxy cannot see")


def _block_of(tree: Tree, source: str) -> str:
    name = source.removeprefix("/dev/")
    if not name.startswith("mapper/"):
        return f"/sys/class/block/{name.replace('/', '!')}"
    for block in tree.names("/sys/class/block"):
        if block.startswith("dm-") and _mapped_name(tree, block) == name.removeprefix("mapper/"):
            return f"/sys/class/block/{block}"
    raise Unknowable(f"there is no device {source} in /sys/class/block")


def _mapped_name(tree: Tree, block: str) -> str:
    return tree.text(f"/sys/class/block/{block}/dm/name").rstrip("\n")


def _btrfs_blocks(tree: Tree, first: str) -> list[str]:
    """Return all devices of the file system that ``first`` is one of."""
    number = tree.text(f"{first}/dev")
    for filesystem in tree.names("/sys/fs/btrfs"):
        devices = f"/sys/fs/btrfs/{filesystem}/devices"
        if not tree.exists(devices):
            continue
        blocks = [f"{devices}/{name}" for name in tree.names(devices)]
        if number in [tree.text(f"{block}/dev") for block in blocks]:
            return blocks
    raise Unknowable("/sys/fs/btrfs does not have the file system of /")


class _Looked:
    """One look at block devices; bounded, whatever /sys says."""

    def __init__(self, tree: Tree) -> None:
        self._tree = tree
        self._count = 0

    def is_encrypted(self, block: str, depth: int = 0) -> bool:
        """Whether nothing below ``block`` is reached without encryption."""
        self._count += 1
        if depth > _MAX_DEPTH or self._count > _MAX_DEVICES:
            raise Unknowable("its devices lie on each other without end")
        self._tree.text(f"{block}/dev")  # it must be there
        if self._is_encrypting(block):
            return True
        below = self._below(block)
        return bool(below) and all(self.is_encrypted(one, depth + 1) for one in below)

    def _is_encrypting(self, block: str) -> bool:
        uuid = f"{block}/dm/uuid"
        return self._tree.exists(uuid) and self._tree.text(uuid).startswith(_ENCRYPTING)

    def _below(self, block: str) -> list[str]:
        if self._tree.exists(f"{block}/partition"):
            # The kernel shows a partition's disk as the directory that it is in.
            return self._slaves(f"{block}/..")
        return self._slaves(block)

    def _slaves(self, block: str) -> list[str]:
        directory = f"{block}/slaves"
        if not self._tree.exists(directory):
            return []
        return [f"{directory}/{name}" for name in self._tree.names(directory)]

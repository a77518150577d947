"""Whether the disk is encrypted, on trees of /sys as machines have them."""

import pytest

from kzproxy.client.posture.finding import Unknowable
from kzproxy.client.posture.linux_disk import disk_encrypted
from tests.client.posture.machines import mounted

LUKS = "CRYPT-LUKS2-0123456789abcdef-luks"


def test_a_file_system_on_a_plain_partition_is_not_encrypted(tree):
    tree.partition(tree.disk("sda", "8:0"), "sda2", "8:2")
    tree.mounts(mounted("/", "8:2"))

    found = disk_encrypted(tree.machine())

    assert found.value is False
    assert found.why == "/ on a device that is not encrypted"


def test_a_file_system_on_luks_is_encrypted(tree):
    part = tree.partition(tree.disk("sda", "8:0"), "sda2", "8:2")
    tree.mapped("dm-0", "253:0", LUKS, part)
    tree.mounts(mounted("/", "253:0"))

    assert disk_encrypted(tree.machine()).value is True


def test_lvm_on_luks_is_encrypted(tree):
    part = tree.partition(tree.disk("nvme0n1", "259:0"), "nvme0n1p3", "259:3")
    crypt = tree.mapped("dm-0", "253:0", LUKS, part)
    tree.mapped("dm-1", "253:1", "LVM-abc", crypt)
    tree.mounts(mounted("/", "253:1"))

    assert disk_encrypted(tree.machine()).value is True


def test_a_volume_over_one_encrypted_and_one_plain_disk_is_not_encrypted(tree):
    crypt = tree.mapped("dm-0", "253:0", LUKS, tree.disk("sda", "8:0"))
    tree.mapped("dm-1", "253:1", "LVM-abc", crypt, tree.disk("sdb", "8:16"))
    tree.mounts(mounted("/", "253:1"))

    assert disk_encrypted(tree.machine()).value is False


def test_a_partition_of_an_array_of_encrypted_disks_is_encrypted(tree):
    crypt = tree.mapped("dm-0", "253:0", LUKS, tree.disk("sda", "8:0"))
    array = tree.disk("md0", "9:0")
    tree.link(f"{array}/slaves/dm-0", crypt)
    tree.partition(array, "md0p1", "259:1")
    tree.mounts(mounted("/", "259:1"))

    assert disk_encrypted(tree.machine()).value is True


@pytest.mark.parametrize("uuid", ["CRYPT-VERITY-0-x", "CRYPT-INTEGRITY-x", "LVM-CRYPT-LUKS2", ""])
def test_what_only_checks_or_is_only_called_so_does_not_encrypt(tree, uuid):
    tree.mapped("dm-0", "253:0", uuid, tree.disk("sda", "8:0"))
    tree.mounts(mounted("/", "253:0"))

    assert disk_encrypted(tree.machine()).value is False


def test_a_plain_home_counts_beside_an_encrypted_root(tree):
    tree.mapped("dm-0", "253:0", LUKS, tree.disk("sda", "8:0"))
    tree.disk("sdb", "8:16")
    tree.mounts(mounted("/", "253:0"), mounted("/home", "8:16"))

    found = disk_encrypted(tree.machine())

    assert (found.value, found.why) == (False, "/home on a device that is not encrypted")


def test_of_two_file_systems_at_one_place_the_upper_counts(tree):
    tree.mapped("dm-0", "253:0", LUKS, tree.disk("sda", "8:0"))
    tree.disk("sdb", "8:16")
    tree.mounts(mounted("/", "253:0"), mounted("/", "8:16"))

    assert disk_encrypted(tree.machine()).value is False


def btrfs(tree, *devices):
    for device in devices:
        tree.link(f"/sys/fs/btrfs/uuid/devices/{device.rpartition('/')[2]}", device)
    tree.directory("/sys/fs/btrfs/features")


@pytest.mark.parametrize("source", ["/dev/mapper/luks-1", "/dev/dm-0"])
def test_btrfs_on_luks_is_encrypted(tree, source):
    crypt = tree.mapped("dm-0", "253:0", LUKS, tree.disk("sda", "8:0"), called="luks-1")
    btrfs(tree, crypt)
    tree.mounts(mounted("/", "0:27", "btrfs", source))

    assert disk_encrypted(tree.machine()).value is True


def test_btrfs_with_a_second_device_that_is_plain_is_not_encrypted(tree):
    crypt = tree.mapped("dm-0", "253:0", LUKS, tree.disk("sda", "8:0"), called="luks-1")
    btrfs(tree, crypt, tree.disk("sdb", "8:16"))
    tree.mounts(mounted("/", "0:27", "btrfs", "/dev/mapper/luks-1"))

    assert disk_encrypted(tree.machine()).value is False


@pytest.mark.parametrize(
    ("kind", "source"), [("overlay", "overlay"), ("zfs", "rpool/ROOT"), ("nfs4", "server:/root")]
)
def test_what_has_no_block_device_cannot_be_told(tree, kind, source):
    tree.mounts(mounted("/", "0:40", kind, source))

    with pytest.raises(Unknowable, match=f"/ is on {kind}"):
        disk_encrypted(tree.machine())


def test_devices_that_lie_on_each_other_in_a_circle_cannot_be_told(tree):
    one = tree.mapped("dm-0", "253:0", "LVM-a", "/sys/devices/virtual/dm-1")
    tree.mapped("dm-1", "253:1", "LVM-b", one)
    tree.mounts(mounted("/", "253:0"))

    with pytest.raises(Unknowable, match="without end"):
        disk_encrypted(tree.machine())


def test_devices_that_multiply_on_the_way_down_are_not_followed_for_ever(tree):
    below = [
        tree.mapped("dm-end", "253:99", LUKS, tree.disk("sda", "8:0")),
        tree.mapped("dm-end2", "253:98", LUKS, tree.disk("sdb", "8:16")),
    ]
    for level in range(12):
        number = 2 * level
        below = [
            tree.mapped(f"dm-{number}", f"253:{number}", "LVM-x", *below),
            tree.mapped(f"dm-{number + 1}", f"253:{number + 1}", "LVM-x", *below),
        ]
    tree.mounts(mounted("/", "253:22"))

    with pytest.raises(Unknowable, match="without end"):
        disk_encrypted(tree.machine())


@pytest.mark.parametrize(
    "lines",
    [
        (),
        ("nonsense",),
        ("36 35 8:2 / / rw",),
        (mounted("/boot", "8:1"),),
        (mounted("/", "8:77"),),
        (mounted("/", "../../etc"),),
    ],
)
def test_odd_mounts_cannot_be_told(tree, lines):
    tree.mounts(*lines)

    with pytest.raises(Unknowable):
        disk_encrypted(tree.machine())

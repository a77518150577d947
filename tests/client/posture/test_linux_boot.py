import os

import pytest

from kzproxy.client.posture.finding import Unknowable
from kzproxy.client.posture.linux_boot import lockdown, reboot_pending, secure_boot

VARIABLE = "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"


@pytest.mark.parametrize(("byte", "value"), [(1, True), (0, False)])
def test_secure_boot_is_what_the_firmware_says(tree, byte, value):
    tree.write(VARIABLE, bytes([6, 0, 0, 0, byte]))

    assert secure_boot(tree.machine()).value is value


@pytest.mark.parametrize("variable", [b"", b"\x01", bytes([6, 0, 0, 0, 2]), bytes(6)])
def test_an_odd_variable_says_nothing_of_secure_boot(tree, variable):
    tree.write(VARIABLE, variable)

    with pytest.raises(Unknowable, match="cannot be understood"):
        secure_boot(tree.machine())


def test_a_machine_that_bios_started_has_no_secure_boot(tree):
    tree.directory("/sys/firmware/acpi")

    assert secure_boot(tree.machine()).value is False


def test_a_container_cannot_tell_of_secure_boot(tree):
    tree.directory("/sys/firmware")

    with pytest.raises(Unknowable, match="container"):
        secure_boot(tree.machine())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[none] integrity confidentiality\n", False),
        ("none [integrity] confidentiality\n", True),
        ("none integrity [confidentiality]\n", True),
    ],
)
def test_lockdown_is_what_the_kernel_says(tree, text, value):
    tree.write("/sys/kernel/security/lockdown", text)

    assert lockdown(tree.machine()).value is value


def running(tree, release, *installed):
    tree.write("/proc/sys/kernel/osrelease", release + "\n")
    for one in installed:
        tree.write(f"/boot/vmlinuz-{one}")
    return tree


def test_a_file_of_the_package_manager_says_that_a_reboot_is_pending(tree):
    running(tree, "6.8.0-45-generic", "6.8.0-45-generic").write("/run/reboot-required")

    assert reboot_pending(tree.machine()).value is True


def test_a_newer_kernel_of_the_same_kind_waits_for_a_reboot(tree):
    running(tree, "6.8.0-9-generic", "6.8.0-9-generic", "6.8.0-45-generic")

    found = reboot_pending(tree.machine())

    assert found.value is True
    assert "6.8.0-45-generic" in found.why


def test_a_kernel_of_another_kind_does_not(tree):
    running(tree, "6.8.0-9-generic", "6.8.0-9-generic", "6.9.0-1-azure", "6.8.0-8-generic")

    assert reboot_pending(tree.machine()).value is False


def test_fedoras_kernels_are_found_too(tree):
    running(tree, "6.11.4-301.fc41.x86_64").write("/lib/modules/6.11.4-301.fc41.x86_64/vmlinuz")
    tree.write("/lib/modules/6.11.10-300.fc41.x86_64/vmlinuz")

    assert reboot_pending(tree.machine()).value is True


def test_a_kernel_that_nobody_here_installed_cannot_be_compared(tree):
    running(tree, "6.8.0-9-microvm", "6.8.0-9-generic")

    with pytest.raises(Unknowable, match="none of those"):
        reboot_pending(tree.machine())


def test_a_pipe_in_place_of_a_file_cannot_be_told(tree):
    tree.write("/sys/kernel/security/lockdown", "[none]\n")
    place = tree.root / "sys/kernel/security/lockdown"
    place.unlink()
    os.mkfifo(place)

    with pytest.raises(Unknowable, match="no ordinary file"):
        lockdown(tree.machine())

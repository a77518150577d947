"""Linux: what the machine was started with, and whether it should be started again."""

import re

from kzproxy.client.posture.finding import Finding, Unknowable
from kzproxy.client.posture.linux_system import kernel
from kzproxy.client.posture.machine import Machine

_FIRMWARE = "/sys/firmware"
_SECURE_BOOT = f"{_FIRMWARE}/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
_LOCKDOWN = "/sys/kernel/security/lockdown"
_REBOOT_FILES = ("/run/reboot-required", "/var/run/reboot-required")
_EFIVAR_BYTES = 5  # four of attributes, one of value
_NUMBER = re.compile(r"\d+")


def secure_boot(machine: Machine) -> Finding:
    """Tell whether the firmware starts only what is signed."""
    tree = machine.tree
    if not tree.names(_FIRMWARE):
        raise Unknowable(f"{_FIRMWARE} is empty here, as in a container")
    if not tree.exists(f"{_FIRMWARE}/efi"):
        return Finding(value=False, why="the machine was not started by UEFI")
    variable = tree.data(_SECURE_BOOT)
    if len(variable) != _EFIVAR_BYTES or variable[-1] not in (0, 1):
        raise Unknowable("the firmware's SecureBoot variable cannot be understood")
    is_on = variable[-1] == 1
    return Finding(value=is_on, why=f"the firmware says that it is {'on' if is_on else 'off'}")


def lockdown(machine: Machine) -> Finding:
    """Tell whether the kernel keeps even root from changing it (kernel_lockdown(7))."""
    chosen = re.search(r"\[(\w+)\]", machine.tree.text(_LOCKDOWN))
    if chosen is None:
        raise Unknowable(f"{_LOCKDOWN} cannot be understood")
    mode = chosen[1]
    return Finding(value=mode != "none", why=f"the kernel's lockdown is {mode}")


def reboot_pending(machine: Machine) -> Finding:
    """Tell whether what was installed waits for the machine to be started again."""
    for path in _REBOOT_FILES:
        if machine.tree.exists(path):
            return Finding(value=True, why=f"{path} is there")
    running, installed = kernel(machine), _installed(machine)
    if running not in installed:
        raise Unknowable(f"the kernel that runs, {running}, is none of those in /boot")
    newest = max((one for one in installed if _same_kind(one, running)), key=_version)
    if newest != running:
        return Finding(value=True, why=f"kernel {newest} is installed and {running} runs")
    return Finding(value=False, why=f"the newest kernel installed, {running}, runs")


def _installed(machine: Machine) -> set[str]:
    tree, prefix = machine.tree, "vmlinuz-"
    found = set()
    if tree.exists("/boot"):
        found |= {n.removeprefix(prefix) for n in tree.names("/boot") if n.startswith(prefix)}
    if tree.exists("/lib/modules"):
        names = tree.names("/lib/modules")
        found |= {name for name in names if tree.exists(f"/lib/modules/{name}/vmlinuz")}
    return found


def _same_kind(one: str, other: str) -> bool:
    """Whether two kernels differ in their numbers alone, unlike ``-generic`` and ``-azure``."""
    return _letters(one) == _letters(other)


def _letters(release: str) -> str:
    return re.sub(r"[\d.+~-]+", "-", release)


def _version(release: str) -> tuple[int, ...]:
    return tuple(int(number) for number in _NUMBER.findall(release))

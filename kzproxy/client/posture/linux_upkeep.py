"""Linux: whether the machine is kept up to date, and by whom."""

import json
import re

from kzproxy.client.posture.finding import Finding, Unknowable, cut
from kzproxy.client.posture.linux_protection import running_units
from kzproxy.client.posture.machine import Machine

_DAY_SECONDS = 24 * 3600
_CLOCK_SKEW_SECONDS = 3600
# Written whenever packages are installed, by package manager.
_INSTALLED = (
    "/var/log/dpkg.log",
    "/var/lib/dpkg/status",
    "/usr/lib/sysimage/rpm/rpmdb.sqlite",
    "/var/lib/rpm/rpmdb.sqlite",
    "/var/lib/rpm/Packages",
    "/var/lib/pacman/local",
    "/lib/apk/db/installed",
)
_APT = "/etc/apt/apt.conf.d"
_MAX_APT_FILES = 100
_UNATTENDED = re.compile(
    r'^\s*APT::Periodic::Unattended-Upgrade\s+"?(\w+)"?\s*;', re.MULTILINE | re.IGNORECASE
)
_DNF_TIMERS = ("dnf-automatic.timer", "dnf-automatic-install.timer", "dnf5-automatic.timer")
_MANAGED = "/etc/kzproxy/managed.json"
# What manages Linux machines, by a file that it needs: Fleet, Landscape, Puppet, Intune.
_MANAGERS = {
    "fleet": "/opt/orbit/identifier",
    "landscape": "/etc/landscape/client.conf",
    "intune": "/opt/microsoft/intune/bin/intune-daemon",
}


def patch_age_days(machine: Machine) -> Finding:
    """Tell how many days ago packages were installed last, which on most machines are updates."""
    newest, path = max(_times(machine), default=(0.0, ""))
    if not path:
        raise Unknowable("no package manager is known here")
    age = machine.now.timestamp() - newest
    if age < -_CLOCK_SKEW_SECONDS:
        raise Unknowable(f"{path} was written in the future; the clock is wrong")
    days = int(max(age, 0) // _DAY_SECONDS)
    return Finding(value=days, why=f"{path} was written {days} days ago")


def _times(machine: Machine) -> list[tuple[float, str]]:
    tree = machine.tree
    return [(tree.changed_at(path), path) for path in _INSTALLED if tree.exists(path)]


def auto_update(machine: Machine) -> Finding:
    """Tell whether updates are installed without anybody asking for them."""
    if machine.tree.exists(_APT):
        is_on = _apt_upgrades(machine)
        why = f"unattended upgrades are {'on' if is_on else 'off'} in {_APT}"
        return Finding(value=is_on, why=why)
    running = running_units(machine, _DNF_TIMERS)
    if running:
        return Finding(value=True, why=f"{running[0]} is active")
    return Finding(value=False, why=f"none of {', '.join(_DNF_TIMERS)} is active")


def _apt_upgrades(machine: Machine) -> bool:
    """Return what the last file that says something says, as apt reads them."""
    value = "0"
    names = [name for name in machine.tree.names(_APT) if "." not in name or name[-5:] == ".conf"]
    for name in names[:_MAX_APT_FILES]:
        for said in _UNATTENDED.findall(machine.tree.text(f"{_APT}/{name}")):
            value = said
    return value.lower() not in ("0", "no", "false", "off", "disable", "without")


def managed(machine: Machine) -> Finding:
    """Tell whether something of an organisation's manages the machine."""
    if machine.tree.exists(_MANAGED):
        return Finding(
            value=True, why=f"{_MANAGED} is there", details={"name": _named_manager(machine)}
        )
    for name, path in _MANAGERS.items():
        if machine.tree.exists(path):
            return Finding(value=True, why=f"{path} is there", details={"name": name})
    return Finding(value=False, why=f"there is no {_MANAGED}, nor {', '.join(_MANAGERS)}")


def _named_manager(machine: Machine) -> str:
    try:
        document = json.loads(machine.tree.text(_MANAGED))
    except (ValueError, RecursionError, Unknowable):
        return ""
    by = document.get("by") if isinstance(document, dict) else None
    return cut(by) if isinstance(by, str) else ""

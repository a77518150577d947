"""Linux: firewall and endpoint protection."""

from collections.abc import Mapping

from kzproxy.client.posture.finding import Finding, Unknowable
from kzproxy.client.posture.machine import Machine

_FIREWALLS = ("nftables", "ufw", "firewalld", "iptables", "netfilter-persistent")
_PROTECTION = ("falcon-sensor", "mdatp", "sentinelone", "wazuh-agent")
_UFW = "/etc/ufw/ufw.conf"
# systemctl(1), is-active; "unknown" is what a unit is that cannot be found.
_STATES = frozenset(
    {"active", "reloading", "inactive", "failed", "activating", "deactivating", "maintenance"}
    | {"refreshing", "unknown"}
)
_RUNNING = frozenset({"active", "reloading", "refreshing"})


def firewall(machine: Machine) -> Finding:
    """Tell whether a service is active that filters packets; not what its rules say."""
    running = running_units(machine, _FIREWALLS)
    # The unit is active where ufw is installed; whether it filters stands in its file.
    if "ufw" in running and not _ufw_is_enabled(machine):
        running = [name for name in running if name != "ufw"]
    if not running:
        return Finding(value=False, why=f"none of {', '.join(_FIREWALLS)} is active")
    name = running[0]
    return Finding(value=True, why=f"{name} is active", details={"name": name})


def edr_running(machine: Machine) -> Finding:
    """Tell whether a service is active that watches the machine for attacks."""
    running = running_units(machine, _PROTECTION)
    if not running:
        return Finding(value=False, why=f"none of {', '.join(_PROTECTION)} is active")
    name = running[0]
    return Finding(value=True, why=f"{name} is active", details={"name": name})


def running_units(machine: Machine, names: tuple[str, ...]) -> list[str]:
    """Return those of ``names`` that systemd says are active.

    Raises:
        Unknowable: It cannot be asked, or its answer cannot be understood.
    """
    states = _states(machine, names)
    return [name for name in names if states[name] in _RUNNING]


def _states(machine: Machine, names: tuple[str, ...]) -> Mapping[str, str]:
    said = machine.commands.run("systemctl", "is-active", "--", *names)
    lines = said.output.split()
    if len(lines) != len(names) or not _STATES.issuperset(lines):
        raise Unknowable("systemd does not run here, or its answer cannot be understood")
    return dict(zip(names, lines, strict=True))


def _ufw_is_enabled(machine: Machine) -> bool:
    lines = machine.tree.text(_UFW).splitlines()
    return any(line.strip().lower().replace('"', "") == "enabled=yes" for line in lines)

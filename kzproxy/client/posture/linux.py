"""The collector of Linux: files and a few programs, no root rights, no osquery."""

import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from kzproxy import __version__
from kzproxy.client.posture.bounded import in_time
from kzproxy.client.posture.commands import NoCommands, SystemCommands
from kzproxy.client.posture.finding import Finding, Late, Posture, Unknowable, cut
from kzproxy.client.posture.linux_boot import lockdown, reboot_pending, secure_boot
from kzproxy.client.posture.linux_disk import disk_encrypted
from kzproxy.client.posture.linux_protection import edr_running, firewall
from kzproxy.client.posture.linux_screen import screen_lock
from kzproxy.client.posture.linux_system import (
    boot_id,
    kernel,
    machine_id,
    model,
    release,
    serial,
    tpm,
    vendor,
)
from kzproxy.client.posture.linux_upkeep import auto_update, managed, patch_age_days
from kzproxy.client.posture.machine import Machine, Probe
from kzproxy.client.posture.tree import Tree
from kzproxy.clock.system import Clock

CHECKS: Mapping[str, Probe] = {
    "disk_encrypted": disk_encrypted,
    "firewall": firewall,
    "screen_lock": screen_lock,
    "secure_boot": secure_boot,
    "lockdown": lockdown,
    "edr_running": edr_running,
    "managed": managed,
    "patch_age_days": patch_age_days,
    "auto_update": auto_update,
    "reboot_pending": reboot_pending,
}
_HARDWARE: Mapping[str, Callable[[Machine], str]] = {
    "serial": serial,
    "vendor": vendor,
    "model": model,
    "machine": machine_id,
    "tpm": tpm,
}
_TEXTS = {**_HARDWARE, "kernel": kernel, "boot_id": boot_id}
_Told = str | dict[str, str] | Finding


class LinuxCollector:
    """See ``Collector``."""

    def __init__(self, machine: Machine, clock: Clock) -> None:
        self._machine = machine
        self._clock = clock

    def collect(self) -> Posture:
        """Find out what can be found out; see ``Collector``."""
        asked: Mapping[str, Callable[[Machine], _Told]] = {"os": release, **_TEXTS, **CHECKS}
        jobs = {name: partial(ask, self._machine) for name, ask in asked.items()}
        told = in_time(jobs, self._clock)
        texts = {name: told[name] for name in _TEXTS}
        known = {name: text for name, text in texts.items() if isinstance(text, str)}
        return Posture(
            agent=("kzproxy", __version__),
            os={
                "platform": "linux",
                **_release(told["os"]),
                "kernel": known.pop("kernel", ""),
                "arch": os.uname().machine if self._machine.tree.is_here else "",
            },
            boot_id=known.pop("boot_id", ""),
            hardware=known,
            checks={name: _finding(told[name]) for name in CHECKS},
            missing={
                n: str(why) for n, why in told.items() if n not in CHECKS and _is_missing(why)
            },
        )


def linux_collector(root: Path, environment: Mapping[str, str], clock: Clock) -> LinuxCollector:
    """Return the collector of this machine, or of the files below another ``root``.

    Args:
        root: ``/`` for this machine. No programs are asked for another one.
        environment: Of the user's process.
        clock: For ages, and to bound waiting.
    """
    is_here = root == Path("/")
    machine = Machine(
        tree=Tree(root),
        commands=SystemCommands(environment, clock) if is_here else NoCommands(),
        session=environment if is_here else {},
        home=environment.get("HOME", "/"),
        uid=os.getuid(),
        now=clock.now(),
    )
    return LinuxCollector(machine, clock)


def _is_missing(told: _Told | Unknowable) -> bool:
    return isinstance(told, Unknowable)


def _release(told: _Told | Unknowable) -> dict[str, str]:
    return told if isinstance(told, dict) else {"id": "linux", "name": "Linux", "version": ""}


def _finding(told: _Told | Unknowable) -> Finding:
    if isinstance(told, Finding):
        return replace(told, why=cut(told.why))
    return Finding(value=None, why=cut(str(told)), is_late=isinstance(told, Late))

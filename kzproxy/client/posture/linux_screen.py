"""Linux: whether the screen locks itself when its user goes away."""

import configparser
import re

from kzproxy.client.posture.finding import Finding, Unknowable
from kzproxy.client.posture.machine import Machine

# How desktops begin that are called in XDG_CURRENT_DESKTOP or by systemd-logind: those whose
# settings are GNOME's, and KDE's.
_LIKE_GNOME = ("gnome", "unity", "ubuntu", "budgie", "pantheon")
_LIKE_KDE = ("kde", "plasma")
_SESSION_ID = re.compile(r"[0-9A-Za-z]{1,32}")
_SAVER = "org.gnome.desktop.screensaver"
_SESSION = "org.gnome.desktop.session"
_NUMBER = re.compile(r"(?:uint32 )?(\d{1,9})")
_KDE_FILE = ".config/kscreenlockerrc"
_KDE_MINUTES = 5  # KDE's own default


def screen_lock(machine: Machine) -> Finding:
    """Tell whether the desktop of this session locks itself, and after how long."""
    desktop = machine.session.get("XDG_CURRENT_DESKTOP") or _desktop_of_user(machine)
    words = desktop.lower().split(":")
    if any(word.startswith(_LIKE_GNOME) for word in words):
        return _gnome(machine)
    if any(word.startswith(_LIKE_KDE) for word in words):
        return _kde(machine)
    raise Unknowable(f"kzproxy does not know the settings of the desktop {desktop}")


def _desktop_of_user(machine: Machine) -> str:
    """Return what desktop the user has, for a program that was not started in it.

    What is found out must not depend on whether kubectl runs in a terminal, over SSH or by a timer.
    """
    session = _said_by_logind(machine, "show-user", str(machine.uid), "Display")
    if not _SESSION_ID.fullmatch(session):
        raise Unknowable("you have no desktop session here")
    desktop = _said_by_logind(machine, "show-session", session, "Desktop")
    if not desktop:
        raise Unknowable("systemd-logind does not know which desktop your session is")
    return desktop


def _said_by_logind(machine: Machine, verb: str, whose: str, name: str) -> str:
    said = machine.commands.run("loginctl", verb, f"--property={name}", "--value", "--", whose)
    if said.code != 0:
        raise Unknowable("you have no desktop session here")
    return said.output.strip()


def _gnome(machine: Machine) -> Finding:
    is_on = _setting(machine, _SAVER, "lock-enabled") == "true"
    idle = _seconds(_setting(machine, _SESSION, "idle-delay"))
    if not is_on or idle == 0:
        why = "GNOME is set not to lock" if not is_on else "GNOME is set never to be idle"
        return Finding(value=False, why=why)
    return _locks("GNOME", idle + _seconds(_setting(machine, _SAVER, "lock-delay")))


def _setting(machine: Machine, schema: str, key: str) -> str:
    said = machine.commands.run("gsettings", "get", schema, key)
    if said.code != 0:
        raise Unknowable(f"gsettings has no {schema} {key}")
    return said.output.strip()


def _seconds(text: str) -> int:
    found = _NUMBER.fullmatch(text)
    if found is None:
        raise Unknowable("what gsettings says is no number of seconds")
    return int(found[1])


def _kde(machine: Machine) -> Finding:
    path = f"{machine.home.rstrip('/')}/{_KDE_FILE}"
    # What is as KDE has it by default is not in the file, which may then not be there at all.
    text = machine.tree.text(path) if machine.tree.exists(path) else ""
    settings = configparser.RawConfigParser(strict=False)
    try:
        settings.read_string(text)
        is_on = settings.getboolean("Daemon", "Autolock", fallback=True)
        minutes = settings.getint("Daemon", "Timeout", fallback=_KDE_MINUTES)
        grace = settings.getint("Daemon", "LockGrace", fallback=0)
    except (configparser.Error, ValueError):
        raise Unknowable(f"{_KDE_FILE} cannot be understood") from None
    if not is_on or minutes <= 0:
        return Finding(value=False, why="KDE is set not to lock")
    return _locks("KDE", minutes * 60 + max(grace, 0))


def _locks(desktop: str, after: int) -> Finding:
    return Finding(
        value=True, why=f"{desktop} locks after {after} seconds", details={"max_s": after}
    )

"""What this machine says of itself when it is enrolled: a name, a serial number, a platform.

Nobody can check it: it is for people, and to tell that a machine is here again with another key.
"""

import hashlib
import hmac
import platform
import socket
from pathlib import Path

from kzproxy.client.device_enrolment import Machine

_MAX_CHARS = 128
_MAX_BYTES = 1024
_BOARD = "sys/class/dmi/id/product_serial"  # for root alone, on most machines
_INSTALLATION = "etc/machine-id"
_DIGITS = 32


def this_machine(name: str = "", serial: str = "", root: Path = Path("/")) -> Machine:
    """Return what is known; ``name`` and ``serial`` take the place of what would be found."""
    return Machine(
        name=_printable(name or socket.gethostname()),
        serial=_printable(serial or _read(root / _BOARD) or _installation(root)),
        platform=_printable(f"{platform.system()} {platform.machine()}".strip().lower()),
    )


def _installation(root: Path) -> str:
    """Return what stands for the installation's id, which is not to be told (machine-id(5))."""
    found = _read(root / _INSTALLATION)
    if not found:
        return ""
    digest = hmac.new(found.encode(), b"kzproxy device", hashlib.sha256).hexdigest()
    return f"installation-{digest[:_DIGITS]}"


def _read(file: Path) -> str:
    try:
        with file.open("rb") as opened:
            return opened.read(_MAX_BYTES).decode("utf-8", "replace").strip()
    except OSError:
        return ""


def _printable(text: str) -> str:
    return "".join(letter for letter in text if letter.isprintable())[:_MAX_CHARS]

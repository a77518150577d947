"""Linux: which system, which machine."""

import hashlib
import hmac
import re
import shlex

from kzproxy.client.posture.finding import Unknowable, cut
from kzproxy.client.posture.machine import Machine
from kzproxy.client.posture.tree import Tree

# The machine's own id must not leave it (machine-id(5)): what does is made from it for us alone.
_APPLICATION = b"kzproxy.dev posture machine id v1"
_MACHINE_ID = re.compile(r"[0-9a-f]{32}")
_RELEASE_FILES = ("/etc/os-release", "/usr/lib/os-release")
# What boards say whose maker had nothing to say.
_FILLER = frozenset(
    {"", "none", "default string", "to be filled by o.e.m.", "system serial number"}
)


def release(machine: Machine) -> dict[str, str]:
    """Return ``id``, ``name``, ``version`` and ``build`` as the distribution says (os-release(5)).

    Raises:
        Unknowable: There is no such file.
    """
    fields = _fields(_first_text(machine.tree, _RELEASE_FILES))
    return {
        "id": fields.get("ID", "linux"),
        "name": fields.get("PRETTY_NAME") or fields.get("NAME", "Linux"),
        "version": fields.get("VERSION_ID", ""),
        "build": fields.get("BUILD_ID", ""),
    }


def kernel(machine: Machine) -> str:
    """Return the release of the kernel that runs."""
    return cut(machine.tree.text("/proc/sys/kernel/osrelease").strip())


def boot_id(machine: Machine) -> str:
    """Return the id of this start of the machine."""
    return cut(machine.tree.text("/proc/sys/kernel/random/boot_id").strip())


def machine_id(machine: Machine) -> str:
    """Return an id of the machine that serves kzproxy alone.

    Raises:
        Unknowable: The machine has none.
    """
    own = machine.tree.text("/etc/machine-id").strip()
    if not _MACHINE_ID.fullmatch(own):
        raise Unknowable("/etc/machine-id does not hold an id")
    return hmac.new(bytes.fromhex(own), _APPLICATION, hashlib.sha256).hexdigest()[:32]


def serial(machine: Machine) -> str:
    """Return the maker's serial number, which only root may read on most machines."""
    return _dmi(machine, "product_serial")


def vendor(machine: Machine) -> str:
    """Return the maker."""
    return _dmi(machine, "sys_vendor")


def model(machine: Machine) -> str:
    """Return the maker's name for the machine."""
    return _dmi(machine, "product_name")


def tpm(machine: Machine) -> str:
    """Return the version of the TPM.

    Raises:
        Unknowable: There is none to be seen.
    """
    if "tpm0" not in machine.tree.names("/sys/class/tpm"):
        raise Unknowable("the kernel shows no TPM")
    return cut(machine.tree.text("/sys/class/tpm/tpm0/tpm_version_major").strip())


def _dmi(machine: Machine, name: str) -> str:
    text = cut(machine.tree.text(f"/sys/class/dmi/id/{name}").strip())
    if text.lower() in _FILLER:
        raise Unknowable("the maker left it empty")
    return text


def _first_text(tree: Tree, paths: tuple[str, ...]) -> str:
    for path in paths[:-1]:
        try:
            return tree.text(path)
        except Unknowable:
            continue
    return tree.text(paths[-1])


def _fields(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if not equals or name.startswith("#"):
            continue
        try:
            words = shlex.split(value)
        except ValueError:
            continue
        found[name] = cut(words[0]) if words else ""
    return found

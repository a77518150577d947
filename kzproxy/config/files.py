"""Files that a configuration names, read at once and bounded."""

import ssl
import stat
from collections.abc import Callable
from pathlib import Path

from kzproxy.config.document import Node

# A CA bundle of a whole trust store is about 250 KiB.
_MAX_BYTES = 1024 * 1024


def named_file(node: Node, base: Path) -> Path:
    """Return the file that ``node`` names, relative to ``base``; one that is not there is wrong.

    It counts as a file that the configuration was read from, whoever reads it.
    """
    node.look_at(base / node.string())
    return living_file(node, base)


def living_file(node: Node, base: Path) -> Path:
    """Do as ``named_file`` does, for a file that is read again and again by who uses it."""
    path = base / node.string()
    if node.string() and (fault := file_fault(path)):
        node.mistake(f"{path} {fault}")
    return path


def file_fault(path: Path) -> str:
    """Say why there is no file at ``path`` that kzproxy can see; empty where there is one."""
    return _fault(path, stat.S_ISREG, "is not a file")


def directory_fault(path: Path) -> str:
    """Do as ``file_fault`` does, for a directory."""
    return _fault(path, stat.S_ISDIR, "is not a directory")


def _fault(path: Path, is_right: Callable[[int], bool], otherwise: str) -> str:
    try:
        return "" if is_right(path.stat().st_mode) else otherwise
    except (FileNotFoundError, NotADirectoryError, ValueError):  # of a name with a zero byte
        return otherwise
    except OSError as error:  # as in a directory that kzproxy may not enter
        return f"cannot be looked at: {error.strerror}"


def file_text(node: Node, base: Path) -> str:
    """Return the text of the file that ``node`` names; empty, and a mistake, if it has none."""
    path = named_file(node, base)
    if file_fault(path):
        return ""
    try:
        with path.open(encoding="utf-8") as opened:
            text = opened.read(_MAX_BYTES + 1)
    except (OSError, UnicodeDecodeError) as error:
        node.mistake(f"{path} cannot be read: {error}")
        return ""
    if len(text) > _MAX_BYTES:
        node.mistake(f"{path} is over 1 MiB")
        return ""
    if not text.strip():
        node.mistake(f"{path} is empty")
    return text


def authority_text(node: Node, base: Path) -> str:
    """Do as ``file_text`` does, for a PEM bundle of CA certificates; any other is a mistake."""
    # Names of CAs stand between the certificates, in any language; the ssl module takes ASCII.
    pem = file_text(node, base).encode("ascii", "replace").decode()
    if pem.strip() and not is_authority(pem):
        node.mistake("is not a bundle of CA certificates in PEM")
    return pem


def is_authority(pem: str) -> bool:
    """Whether ``pem`` holds CA certificates that TLS can go by, and nothing that spoils them."""
    try:
        ssl.create_default_context(cadata=pem)
    except (ssl.SSLError, ValueError, TypeError):
        return False
    return True

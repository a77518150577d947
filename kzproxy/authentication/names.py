"""What a name from outside may look like before it becomes a Kubernetes name.

Names are refused, never repaired: kube-apiserver trims blanks from impersonation headers and reads
a bare line feed as the next header, so a repaired name can be somebody else's name.
"""

import unicodedata

MAX_NAME_BYTES = 1024
"""Kubernetes sets no bound; e-mail addresses end at 254 octets (RFC 5321 section 4.5.3.1.3)."""

# Control, format (zero-width, bidirectional, soft hyphen), lone surrogate, line, paragraph: all
# of them are invisible or change what a person reads in a log.
_HIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def name_fault(name: str) -> str:
    """Say what is wrong with a name, as the end of a sentence; empty where nothing is."""
    if not name.strip():
        return "is blank"
    if any(unicodedata.category(character) in _HIDDEN_CATEGORIES for character in name):
        return "holds a control, format or direction character"
    if name.strip() != name:
        return "begins or ends with a blank"
    if not unicodedata.is_normalized("NFC", name):
        return "is not in Unicode normal form C"
    if len(name.encode()) > MAX_NAME_BYTES:
        return f"is longer than {MAX_NAME_BYTES} bytes"
    return ""


def is_reserved(name: str) -> bool:
    """Tell whether a name is, or reads like, one of Kubernetes' own ``system:`` names.

    Case and width do not matter: RBAC compares bytes, but people, other proxies and admission
    webhooks do not always.
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return folded.strip().startswith("system:")

"""The client's key in the operating system's keyring, by the optional package ``keyring``.

What is gained: the key is encrypted at rest, and locked with the desktop. What is not: kubectl
takes its key as text, so programs of the same user can still come by it.
"""

import importlib
from typing import Any

from kzproxy.client.failure import ClientFailure

SERVICE = "kzproxy client key"
KEYRING = "keyring"


def from_keyring(name: str) -> str | None:
    """Return what is kept under ``name``; None where there is nothing."""
    found = _called("get_password", name)
    return found if isinstance(found, str) and found else None


def into_keyring(name: str, text: str) -> None:
    """Keep ``text`` under ``name``."""
    _called("set_password", name, text)


def out_of_keyring(name: str) -> None:
    """Delete what is kept under ``name``; nothing is no error."""
    if from_keyring(name) is not None:
        _called("delete_password", name)


def _called(function: str, *arguments: str) -> object:
    try:
        package: Any = importlib.import_module("keyring")
    except ModuleNotFoundError:
        raise ClientFailure(
            "the client's key is in the system's keyring, which needs a further package;"
            " install it with: pip install 'kzproxy[keyring]'"
        ) from None
    try:
        return getattr(package, function)(SERVICE, *arguments)
    except Exception as error:  # noqa: BLE001 - each keyring has exceptions of its own
        raise ClientFailure(f"the system's keyring cannot be used: {error}") from None

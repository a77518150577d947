"""Reading a file up to a bound. Part of a warm run: see ``plugin_settings``."""

import os

from kzproxy.client.failure import ClientFailure


def read_bounded(path: str, limit_bytes: int, what: str) -> bytes:
    """Read all of ``path``; ``what`` names it in the failure.

    Raises:
        ClientFailure: It cannot be read, or holds more than ``limit_bytes``.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_CLOEXEC", 0))
    except (OSError, ValueError) as error:
        raise ClientFailure(f"{what} {path} cannot be opened: {_reason(error)}") from None
    try:
        return read_descriptor(descriptor, limit_bytes)
    except OSError as error:
        raise ClientFailure(f"{what} {path} cannot be read: {_reason(error)}") from None
    except OverflowError:
        raise ClientFailure(f"{what} {path} is larger than {limit_bytes} bytes") from None
    finally:
        os.close(descriptor)


def read_descriptor(descriptor: int, limit_bytes: int) -> bytes:
    """Read to the end of the file.

    Raises:
        OverflowError: It holds more than ``limit_bytes``.
    """
    parts = []
    room = limit_bytes
    while part := os.read(descriptor, room + 1):
        room -= len(part)
        if room < 0:
            raise OverflowError
        parts.append(part)
    return b"".join(parts)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)

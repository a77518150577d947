"""Files that hold a credential."""

import os
from pathlib import Path


def write_private_file(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path``, readable by its owner alone (0600).

    An older file is replaced in one step: no one meets a half-written one, and one that was left
    open to others does not stay so.
    """
    unfinished = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    unfinished.replace(path)

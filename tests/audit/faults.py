"""Real faults of the disk, made by the kernel."""

import contextlib
import resource
from collections.abc import Iterator


@contextlib.contextmanager
def no_file_grows_over(size_bytes: int) -> Iterator[None]:
    """Let writes past ``size_bytes`` fail as on a full disk: short first, then with an error.

    The kernel's own limit on the size of files (EFBIG), which needs no mount and no root. Only
    this process's writes to regular files are under it, and only inside the ``with``.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@contextlib.contextmanager
def no_more_files() -> Iterator[None]:
    """Let this process open no file (EMFILE)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))

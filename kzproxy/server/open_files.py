"""Use as many descriptors as the operator allows."""

import resource


def raise_open_file_limit() -> None:
    """Raise the soft limit on open files to the hard one.

    The soft one is low for the sake of programs that use select(2), of which this is none; Go's
    programs raise it too (its package os, rlimit.go).
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))

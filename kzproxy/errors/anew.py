"""Raising an error that somebody keeps."""

from typing import TypeVar

E = TypeVar("E", bound=BaseException)


def anew(error: E) -> E:
    """Return an error that says the same as ``error``, to be raised in its place.

    What is raised holds the frames that it passes through. Of an error that is kept by what those
    frames hold, a stream for example, that makes a cycle: connection, buffers and policy would live
    on until the garbage collector came by.

    Neither cause nor context is taken along, nor what an exception of Python's own keeps beside its
    arguments, such as the file name of an ``OSError``.
    """
    kind = type(error)
    twin = kind.__new__(kind, *error.args)  # Without __init__, whose arguments may be others.
    twin.__dict__.update(error.__dict__)
    return twin

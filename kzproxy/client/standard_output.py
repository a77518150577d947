"""What a command says of output and text that cannot be written. Part of a warm run."""

import os

# A shell hands over arguments of any bytes, so that a text may be no Unicode.
UNWRITTEN = (OSError, UnicodeEncodeError)


def unwritten(error: OSError | UnicodeEncodeError) -> str:
    """Return a line that says so; what standard output holds back is dropped.

    Python would try to write it again at its exit.
    """
    if isinstance(error, UnicodeEncodeError):
        return f"{error.object[error.start : error.end]!a} cannot be written in {error.encoding}"
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)
    words = error.strerror or str(error)
    return words if error.filename is None else f"{os.fsdecode(error.filename)}: {words}"

"""Become a command that ends when the process which started it ends.

Run as a program: ``python -I -S parent_death.py PARENT_PID SIGNAL COMMAND [ARGUMENT ...]``. It is a
program of its own because ``preexec_fn``, the other way to call prctl(2) in a child, is unsafe with
threads. It imports nothing of kzproxy: it runs with ``-I -S``, for speed.

Linux only; elsewhere the command runs without the guard.
"""

import ctypes
import os
import sys

# linux/prctl.h
_PR_SET_PDEATHSIG = 1


def main(parent_pid: int, signal_number: int, command: list[str]) -> None:
    """Arm the guard and become ``command``."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, signal_number, 0, 0, 0) != 0:
            sys.exit(f"prctl: {os.strerror(ctypes.get_errno())}")
        # The parent may have ended before the guard was armed.
        if os.getppid() != parent_pid:
            sys.exit("the parent has ended")
    os.execv(command[0], command)  # noqa: S606 (no shell is wanted)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])

"""Whether there is a browser, and opening it."""

import shlex
import subprocess
import sys
from collections.abc import Mapping

from kzproxy.client.failure import ClientFailure


def has_browser(environ: Mapping[str, str], platform: str) -> bool:
    """Tell whether a browser on this machine would be in front of the user.

    Args:
        environ: The environment.
        platform: As ``sys.platform``.
    """
    if environ.get("BROWSER"):
        return True
    if environ.get("SSH_CONNECTION") or environ.get("SSH_TTY"):
        return False
    if platform in ("darwin", "win32"):
        return True
    return bool(environ.get("DISPLAY") or environ.get("WAYLAND_DISPLAY"))


def open_browser(url: str, command: str) -> "subprocess.Popen[bytes]":
    """Start the browser and return at once with its process, which nobody need wait for.

    ``webbrowser`` runs in a process of its own, because a text browser would write to our
    stdout, which kubectl reads.

    Args:
        url: What to open.
        command: Run with ``url`` as its last argument, without a shell; empty means the
            browser that Python's ``webbrowser`` finds (it honours ``BROWSER``).

    Raises:
        ClientFailure: ``command`` cannot be run.
    """
    try:
        words = shlex.split(command) if command else [sys.executable, "-P", "-m", "webbrowser"]
        return subprocess.Popen(  # noqa: S603 - the user's own command, and no shell
            [*words, url],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        raise ClientFailure(f"the browser cannot be started with {command!r}: {error}") from None

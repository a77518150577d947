"""The reasons that users give for what they do: kept for one session, and not for long.

One small file each, in a directory that all workers share: what one is told, the next request sees
at whichever worker it comes to, and nothing is cached that could be out of date. A file that cannot
be read, or that says something else than its name, is no reason.
"""

import contextlib
import hashlib
import os
import secrets
import stat
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from kzproxy.errors.configuration import ConfigurationError, Mistake
from kzproxy.errors.kinds import ServiceUnavailable

MAX_REASON_CHARS = 500
MAX_REASONS = 10_000
_MAX_FILE_BYTES = 8 * 1024
_SUFFIX = ".reason"


class ReasonSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Where reasons are kept, and for how long.

    Attributes:
        directory: Kept private to kzproxy; its parent exists.
        maximum: No reason holds longer.
    """

    directory: Path
    maximum: timedelta


class Reason(msgspec.Struct, frozen=True, kw_only=True):
    """What a user gave as the reason, in one sign-in.

    Attributes:
        session: Id of the sign-in.
        user: Whose.
        text: Printable, 1 to ``MAX_REASON_CHARS`` characters.
        ends_at: Aware; from then on it is none.
    """

    session: str
    user: str
    text: str
    ends_at: datetime


class ReasonStore:
    """Reads and writes them; every call may wait for the disk, so none belongs on the loop.

    Attributes:
        maximum: No reason may be given for longer.
    """

    def __init__(self, settings: ReasonSettings) -> None:
        self._directory = settings.directory
        self.maximum = settings.maximum

    @classmethod
    def open(cls, settings: ReasonSettings) -> "ReasonStore":
        """Make the directory if need be.

        Raises:
            ConfigurationError: It cannot be used, or others may look into it.
        """
        directory = settings.directory
        try:
            with contextlib.suppress(FileExistsError):
                directory.mkdir(mode=0o700)
            found = directory.lstat()
        except OSError as error:
            raise _mistake(directory, f"cannot be used: {error.strerror}") from error
        if not stat.S_ISDIR(found.st_mode):
            raise _mistake(directory, "is not a directory")
        if found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise _mistake(directory, "must belong to kzproxy alone: chown it, and chmod 0700")
        return cls(settings)

    def read(self, session: str, user: str, now: datetime) -> Reason | None:
        """Return the reason that holds at ``now``.

        One that would hold for longer than any may was given by a clock that was ahead, or while
        longer ones were allowed.
        """
        reason = _read(self._file(session, user))
        if reason is None or (reason.session, reason.user) != (session, user):
            return None
        return reason if now < reason.ends_at <= now + self.maximum else None

    def write(self, reason: Reason, now: datetime) -> None:
        """Keep ``reason`` in place of any other of the same session.

        Raises:
            ServiceUnavailable: It cannot be kept; then there is none, or the one before.
        """
        file = self._file(reason.session, reason.user)
        try:
            if not file.exists():
                self._make_room(now)
            self._replace(file, msgspec.json.encode(reason))
        except OSError as error:
            raise ServiceUnavailable(
                "kzproxy cannot keep the reason now; nothing was done", detail=str(error)
            ) from error

    def remove(self, session: str, user: str) -> None:
        """Have none any more.

        Raises:
            ServiceUnavailable: It cannot be removed.
        """
        try:
            self._file(session, user).unlink(missing_ok=True)
        except OSError as error:
            raise ServiceUnavailable(
                "kzproxy cannot remove the reason now", detail=str(error)
            ) from error

    def _file(self, session: str, user: str) -> Path:
        name = hashlib.sha256(f"{len(session)}:{session}{user}".encode()).hexdigest()
        return self._directory / f"{name}{_SUFFIX}"

    def _make_room(self, now: datetime) -> None:
        files = list(self._directory.glob(f"*{_SUFFIX}"))
        if len(files) < MAX_REASONS:
            return
        left = len(files)
        for file in files:
            kept = _read(file)
            if kept is None or kept.ends_at <= now:
                file.unlink(missing_ok=True)
                left -= 1
        if left >= MAX_REASONS:
            raise ServiceUnavailable(
                f"kzproxy keeps {MAX_REASONS} reasons already; try again later",
                retry_after_seconds=60,
            )

    def _replace(self, file: Path, content: bytes) -> None:
        """Write whole or not at all; not synced: after a crash of the machine it is given anew."""
        temporary = self._directory / f".{secrets.token_hex(8)}.new"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as writing:
                writing.write(content)
            temporary.replace(file)
        except OSError:
            temporary.unlink(missing_ok=True)
            raise


def _read(file: Path) -> Reason | None:
    try:
        descriptor = os.open(file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as reading:
            content = reading.read(_MAX_FILE_BYTES + 1)
        if len(content) > _MAX_FILE_BYTES:
            return None
        reason = msgspec.json.decode(content, type=Reason)
    except (OSError, ValueError):
        return None
    return reason if reason.text and reason.ends_at.tzinfo is not None else None


def _mistake(directory: Path, message: str) -> ConfigurationError:
    return ConfigurationError([Mistake(source=str(directory), message=message)])

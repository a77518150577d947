"""The tokens of past sign-ins, one file each, private to the user.

A file that others could have read or written is refused, not mended: somebody else may already
have the tokens. Part of a warm run: see ``plugin_settings``.
"""

import errno
import hashlib
import json
import os
import stat
from collections.abc import Mapping

from kzproxy.client.bounded_file import read_descriptor
from kzproxy.client.failure import ClientFailure
from kzproxy.client.held_session import HeldSession, read_session, session_fields
from kzproxy.client.plugin_settings import IssuerClient

VERSION = 1

# An ID token may name hundreds of groups; a whole request head may have 128 KiB.
MAX_ENTRY_BYTES = 1024 * 1024

_ENTRY = ".json"
_SET_ASIDE = ".corrupt"
_UNFINISHED = ".new"

_NO_FOLLOW = getattr(os, "O_NOFOLLOW", 0)
_CLOSE_ON_EXEC = getattr(os, "O_CLOEXEC", 0)
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


class CacheEntry:
    """One sign-in.

    Attributes:
        arguments: The plugin's arguments that it was made with, ``--server`` among them, so that
            it can be shown and revoked without the kubeconfig.
        id_token: Empty where kzproxy keeps the session.
        refresh_token: Empty where the issuer gave none; kzproxy's own is its renewal token.
        expires_at: Unix seconds at which ``bearer`` ends, by this machine's clock.
        refresh_at: Unix seconds from which a new one is fetched.
        session: None where kzproxy keeps none.
        signed_in_at: Unix seconds at which the user signed in; renewals leave it as it is. 0 where
            the file is of a version that did not keep it.
    """

    __slots__ = (
        "arguments",
        "expires_at",
        "id_token",
        "refresh_at",
        "refresh_token",
        "session",
        "signed_in_at",
    )

    def __init__(  # noqa: PLR0913 - a record, with each of its fields by name
        self,
        *,
        arguments: tuple[str, ...],
        id_token: str,
        refresh_token: str,
        expires_at: int,
        refresh_at: int,
        session: HeldSession | None = None,
        signed_in_at: int = 0,
    ) -> None:
        self.arguments = arguments
        self.id_token = id_token
        self.refresh_token = refresh_token
        self.expires_at = expires_at
        self.refresh_at = refresh_at
        self.session = session
        self.signed_in_at = signed_in_at

    @property
    def bearer(self) -> str:
        """Return what kubectl sends."""
        return self.id_token if self.session is None else self.session.token

    def suspected(self, now_seconds: float) -> "CacheEntry":
        """Return the same, whose token seems to have been refused."""
        session = None if self.session is None else self.session.suspected(now_seconds)
        return self._with(session=session)

    def signed_in(self, at: int) -> "CacheEntry":
        """Return the same, of a sign-in at ``at``."""
        return self._with(signed_in_at=at)

    def ended(self, message: str) -> "CacheEntry":
        """Return what is left of a session that is over: why, and no token."""
        session = None if self.session is None else self.session.ended(message)
        none = {"id_token": "", "refresh_token": "", "expires_at": 0, "refresh_at": 0}
        return self._with(session=session, **none)

    def _with(self, **changes: object) -> "CacheEntry":
        fields = {name: getattr(self, name) for name in self.__slots__}
        fields.update(changes)
        return CacheEntry(**fields)

    def __repr__(self) -> str:
        """Leave the tokens out."""
        return f"CacheEntry(arguments={self.arguments!r}, expires_at={self.expires_at})"


def cache_directory(environ: Mapping[str, str]) -> str:
    """Return where the sign-ins of this user are kept.

    Raises:
        ClientFailure: Nothing says where.
    """
    if named := environ.get("KZPROXY_CACHE_DIR"):
        return named
    # XDG Base Directory Specification: a relative path is to be ignored.
    base = environ.get("XDG_CACHE_HOME", "")
    if not base.startswith("/"):
        base = os.path.expanduser("~/.cache")  # noqa: PTH111 - pathlib takes 4 ms to import
        if base.startswith("~"):  # it would be a directory of that name, wherever we are
            raise ClientFailure("you have no home directory; set HOME or KZPROXY_CACHE_DIR")
    return f"{base}/kzproxy"


def cache_key(client: IssuerClient, server: str) -> str:
    """Return the name of the sign-in: of one client and scopes at one issuer for one cluster."""
    parts = [client.issuer, client.client_id, sorted(set(client.scopes)), server]
    if client.keeps_session:
        parts.append("session")
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


class TokenCache:
    """The user's directory of sign-ins."""

    def __init__(self, directory: str) -> None:
        self._directory = directory

    def path(self, name: str) -> str:
        """Return the path of a file in the directory."""
        return f"{self._directory}/{name}"

    def prepare(self) -> None:
        """Make the directory where it is missing; check that it is private.

        Raises:
            ClientFailure: It cannot be made, or others may use it.
        """
        try:
            os.makedirs(self._directory, mode=0o700, exist_ok=True)  # noqa: PTH103
        except OSError as error:
            raise ClientFailure(
                f"the cache directory {self._directory} cannot be made: {error.strerror};"
                " name another one with KZPROXY_CACHE_DIR"
            ) from None
        self._check_private()

    def read(self, key: str) -> CacheEntry | None:
        """Return the sign-in ``key``; None where there is none.

        A file that is not understood is set aside under another name: the user signs in again.

        Raises:
            ClientFailure: The file is not this user's alone, or cannot be read.
        """
        document = self.read_document(f"{key}{_ENTRY}")
        if document is None:
            return None
        try:
            return _entry(document)
        except (KeyError, TypeError):
            self._set_aside(f"{key}{_ENTRY}")
            return None

    def write(self, key: str, entry: CacheEntry) -> None:
        """Keep ``entry``; when this returns it survives a crash of the machine."""
        fields = {name: getattr(entry, name) for name in CacheEntry.__slots__}
        if entry.session is not None:
            fields["session"] = session_fields(entry.session)
        self.write_document(f"{key}{_ENTRY}", fields)

    def remove(self, name: str) -> None:
        """Delete a file of the directory; one that is not there is no error."""
        try:
            os.unlink(self.path(name))  # noqa: PTH108
        except FileNotFoundError:
            return
        except OSError as error:
            raise ClientFailure(f"{self.path(name)} cannot be deleted: {error.strerror}") from None

    def forget(self, key: str) -> None:
        """Delete the sign-in ``key``, and what was set aside of it: tokens stand there too."""
        self.remove(f"{key}{_ENTRY}")
        self.remove(f"{key}{_ENTRY}{_SET_ASIDE}")
        self.remove_unfinished(f"{key}{_ENTRY}")

    def forget_set_aside(self) -> None:
        """Delete whatever was set aside of sign-ins, or left of them by who was killed."""
        for name in self.names(f"{_ENTRY}{_SET_ASIDE}"):
            self.remove(name)
        self.remove_unfinished(_ENTRY)

    def remove_unfinished(self, ending: str) -> None:
        """Delete what is left of writing files that end so, by processes that were killed."""
        for name in self.names(_UNFINISHED):
            if name.removesuffix(_UNFINISHED).rpartition(".")[0].endswith(ending):
                self.remove(name)

    def names(self, suffix: str) -> list[str]:
        """Return the names of the files that end so, sorted."""
        if not self._check_private():
            return []
        names = os.listdir(self._directory)  # noqa: PTH208
        return sorted(name for name in names if name.endswith(suffix))

    def sign_ins(self) -> list[str]:
        """Return the keys of all sign-ins, sorted."""
        length = hashlib.sha256().digest_size * 2
        return [name[:length] for name in self.names(_ENTRY) if name[length:] == _ENTRY]

    def read_document(self, name: str) -> dict[str, object] | None:
        """Return a file of the directory as JSON; None where there is none or it is not JSON."""
        data = self._read_private(self.path(name)) if self._check_private() else None
        if data is None:
            return None
        try:
            document = json.loads(data)
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict) or document.get("version") != VERSION:
            self._set_aside(name)
            return None
        return document

    def write_document(self, name: str, fields: Mapping[str, object]) -> None:
        """Replace a file of the directory as a whole, or not at all.

        Raises:
            ClientFailure: It cannot be written.
        """
        self.write_text(name, json.dumps({"version": VERSION, **fields}))

    def read_text(self, name: str) -> str | None:
        """Return a file of the directory; None where there is none.

        Raises:
            ClientFailure: It is not this user's alone, or cannot be read.
        """
        data = self._read_private(self.path(name)) if self._check_private() else None
        return None if data is None else data.decode("utf-8", "replace")

    def write_text(self, name: str, text: str) -> None:
        """Replace a file of the directory as a whole, or not at all.

        Raises:
            ClientFailure: It cannot be written.
        """
        self.prepare()
        path = self.path(name)
        temporary = f"{path}.{os.urandom(8).hex()}{_UNFINISHED}"
        try:
            _write_synced(temporary, text.encode())
            os.replace(temporary, path)  # noqa: PTH105
            _sync_directory(self._directory)
        except OSError as error:
            raise ClientFailure(f"{path} cannot be written: {error.strerror}") from None
        finally:
            self.remove(temporary.rpartition("/")[2])

    def _check_private(self) -> bool:
        """Return whether the directory is there; refuse one that others may use."""
        try:
            found = os.stat(self._directory)  # noqa: PTH116
        except FileNotFoundError:
            return False
        except OSError as error:
            message = f"the cache directory {self._directory} cannot be used: {error.strerror}"
            raise ClientFailure(message) from None
        _refuse_shared(found, self._directory, "chmod 700")
        return True

    def _read_private(self, path: str) -> bytes | None:
        try:
            descriptor = os.open(path, os.O_RDONLY | _NO_FOLLOW | _CLOSE_ON_EXEC)
        except FileNotFoundError:
            return None
        except OSError as error:
            reason = "it is a symbolic link" if error.errno == errno.ELOOP else error.strerror
            raise ClientFailure(f"the cache file {path} is not used: {reason}") from None
        try:
            _refuse_shared(os.fstat(descriptor), path, "chmod 600")
            return read_descriptor(descriptor, MAX_ENTRY_BYTES)
        except OverflowError:
            return b""
        except OSError as error:
            raise ClientFailure(f"the cache file {path} cannot be read: {error.strerror}") from None
        finally:
            os.close(descriptor)

    def _set_aside(self, name: str) -> None:
        try:
            os.replace(self.path(name), self.path(f"{name}{_SET_ASIDE}"))  # noqa: PTH105
        except FileNotFoundError:  # another process has done so
            return
        except OSError as error:
            message = f"{self.path(name)} cannot be set aside: {error.strerror}; remove it"
            raise ClientFailure(message) from None


def _entry(document: dict[str, object]) -> CacheEntry:
    arguments, id_token = document["arguments"], document["id_token"]
    refresh_token = document["refresh_token"]
    expires_at, refresh_at = document["expires_at"], document["refresh_at"]
    if not isinstance(id_token, str) or not isinstance(refresh_token, str):
        raise TypeError("id_token, refresh_token")
    if not isinstance(expires_at, int) or not isinstance(refresh_at, int):
        raise TypeError("expires_at, refresh_at")
    if not isinstance(arguments, list):
        raise TypeError("arguments")
    session, signed_in_at = document.get("session"), document.get("signed_in_at", 0)
    if not isinstance(signed_in_at, int):
        raise TypeError("signed_in_at")
    return CacheEntry(
        arguments=tuple(str(argument) for argument in arguments),
        id_token=id_token,
        refresh_token=refresh_token,
        expires_at=expires_at,
        refresh_at=refresh_at,
        session=None if session is None else read_session(session),
        signed_in_at=signed_in_at,
    )


def _refuse_shared(found: os.stat_result, path: str, mend: str) -> None:
    if os.name == "nt":  # Windows keeps a user's profile private by access lists, not by modes.
        return
    if found.st_uid != os.geteuid():
        raise ClientFailure(f"{path} belongs to another user (uid {found.st_uid}): remove it")
    if found.st_mode & _OTHERS:
        mode = stat.S_IMODE(found.st_mode)
        raise ClientFailure(
            f"{path} can be used by others (mode {mode:04o}): if you trust what is in it,"
            f" {mend} {path}"
        )


def _write_synced(path: str, data: bytes) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW | _CLOSE_ON_EXEC
    descriptor = os.open(path, flags, 0o600)
    try:
        remaining = memoryview(data)
        while remaining:
            remaining = remaining[os.write(descriptor, remaining) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_directory(path: str) -> None:
    """Have the disk know a file by its new name; some file systems have no way to."""
    if os.name == "nt":
        return
    descriptor = os.open(path, os.O_RDONLY | _CLOSE_ON_EXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)

"""Which kubeconfig files there are and which one a change goes to, as kubectl has it.

Source: client-go tools/clientcmd/config.go and loader.go.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from kzproxy.client.bounded_file import read_bounded
from kzproxy.client.failure import ClientFailure
from kzproxy.client.kubeconfig_document import Entry, KubeconfigDocument

MAX_KUBECONFIG_BYTES = 8 * 1024 * 1024
BACKUP_SUFFIX = ".before-kzproxy"


def kubeconfig_paths(environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files that kubectl would read, in the order in which the first to say wins.

    Raises:
        ClientFailure: Nothing says where they are.
    """
    named = environ.get("KUBECONFIG", "")
    paths = [Path(part) for part in named.split(os.pathsep) if part]
    return tuple(dict.fromkeys(paths)) or (_home() / ".kube" / "config",)


def _home() -> Path:
    try:
        return Path.home()
    except RuntimeError:
        raise ClientFailure("you have no home directory; set HOME or KUBECONFIG") from None


class KubeconfigFiles:
    """Several kubeconfig files seen as one."""

    def __init__(self, paths: Sequence[Path]) -> None:
        self._paths = tuple(paths)
        self._documents = {path: _read(path) for path in self._paths if _is_there(path)}
        self._changed: set[Path] = set()

    def entry(self, section: str, name: str) -> Entry | None:
        """Return the entry of the first file that has it."""
        path = self._home(section, name)
        return self._documents[path].entry(section, name) if path else None

    def directory(self, section: str, name: str) -> Path:
        """Return the directory that relative paths of an entry are relative to."""
        path = self._home(section, name)
        return path.parent if path else Path()

    @property
    def current_context(self) -> str:
        """Return the current context's name, or an empty string."""
        names = (document.current_context for document in self._documents.values())
        return next(filter(None, names), "")

    def put(self, section: str, name: str, entry: Entry) -> None:
        """Set an entry: where it is, or in the file for new entries."""
        self._changing(self._home(section, name)).put(section, name, entry)

    def set_current_context(self, name: str) -> None:
        """Set the current context: in the file that names one, or in the file for new entries."""
        homes = (path for path, document in self._documents.items() if document.current_context)
        self._changing(next(homes, None)).current_context = name

    def write(self) -> list[Path]:
        """Replace the changed files; returns them. A file with comments is kept beside."""
        changed = sorted(self._changed)
        for path in changed:
            _keep_comments(path)
            _replace(path, self._documents[path].text())
        self._changed.clear()
        return changed

    def _home(self, section: str, name: str) -> Path | None:
        for path, document in self._documents.items():
            if document.entry(section, name) is not None:
                return path
        return None

    def _changing(self, path: Path | None) -> KubeconfigDocument:
        # A new entry goes to the first file that exists, or else to the last (GetDefaultFilename).
        path = path or next(iter(self._documents), self._paths[-1])
        self._changed.add(path)
        return self._documents.setdefault(path, KubeconfigDocument.new())


@contextmanager
def locked(paths: Sequence[Path]) -> Iterator[None]:
    """Keep kubectl and others from changing the files meanwhile, by the lock files it uses.

    Raises:
        ClientFailure: Somebody is changing one of them.
    """
    with ExitStack() as stack:
        for path in sorted(set(paths)):
            if _is_there(path.parent):
                stack.enter_context(_locked(path))
        yield


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    lock = path.with_name(path.name + ".lock")
    try:
        os.close(os.open(lock, os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        raise ClientFailure(
            f"{lock} exists: kubectl is changing this file, or was stopped while it did;"
            " if nothing is running, delete the lock file"
        ) from None
    except OSError as error:
        raise ClientFailure(f"{lock} cannot be made: {error.strerror}") from None
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)


def _is_there(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:  # as of a directory that may not be entered
        message = f"the kubeconfig {path} cannot be looked at: {error.strerror}"
        raise ClientFailure(message) from None


def _read(path: Path) -> KubeconfigDocument:
    text = read_bounded(str(path), MAX_KUBECONFIG_BYTES, "the kubeconfig")
    try:
        return KubeconfigDocument.parse(text.decode(), str(path))
    except UnicodeDecodeError:
        raise ClientFailure(f"{path} is not UTF-8") from None


def _keep_comments(path: Path) -> None:
    """Copy the file aside if it has comments, which the new text will not have."""
    if not path.exists():
        return
    before = path.read_bytes()
    if any(line.lstrip().startswith(b"#") or b" #" in line for line in before.splitlines()):
        _replace(path.with_name(path.name + BACKUP_SUFFIX), before.decode())


def _replace(path: Path, text: str) -> None:
    """Write a file as a whole, for its owner alone; a symbolic link stays one."""
    target = path.resolve()
    temporary = target.with_name(f".{target.name}.{os.urandom(8).hex()}.new")
    try:
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise ClientFailure(f"{path} cannot be written: {error.strerror}") from None

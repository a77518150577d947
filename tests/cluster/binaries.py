"""Where the tests find what ``make controlplane`` has built for these very sources."""

from pathlib import Path

from tests.cluster import build


class ControlPlaneNotBuiltError(Exception):
    """Cluster tests never skip: this fails them, and says what to do."""


def built_directory() -> Path:
    """Return the directory of binaries built from this checkout's sources.

    Raises:
        ControlPlaneNotBuiltError: Nothing is built for them, or Go is missing.
    """
    try:
        directory = build.cache_directory() / build.key(build.go_version())
    except build.CannotBuildError as mistake:
        raise ControlPlaneNotBuiltError(f"{mistake}; then run `make controlplane`") from mistake
    if not build.is_whole(directory):
        raise ControlPlaneNotBuiltError(
            f"the control plane is not built: run `make controlplane` ({directory} is not there)"
        )
    return directory

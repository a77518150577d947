"""A namespace for one test."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from uuid import uuid4

import httpx


@contextmanager
def fresh_namespace(
    api: httpx.Client, prefix: str = "test", seconds: float = 30.0
) -> Iterator[str]:
    """Make a namespace in which pods may be made; left, it is deleted without waiting."""
    name = f"{prefix}-{uuid4().hex[:8]}"
    made = api.post("/api/v1/namespaces", json={"metadata": {"name": name}})
    made.raise_for_status()
    _wait_for_default_account(api, name, seconds)
    try:
        yield name
    finally:
        api.delete(f"/api/v1/namespaces/{name}").raise_for_status()


def _wait_for_default_account(api: httpx.Client, namespace: str, seconds: float) -> None:
    """Without it pods are refused; kube-controller-manager makes it."""
    deadline = time.monotonic() + seconds
    while not api.get(f"/api/v1/namespaces/{namespace}/serviceaccounts/default").is_success:
        assert time.monotonic() < deadline, f"{namespace} has no default service account"
        time.sleep(0.02)

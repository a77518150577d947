"""Fixtures for tests against the real components; ``tests/conftest.py`` makes them known to all."""

from collections.abc import Iterator

import pytest

from tests.cluster.binaries import built_directory
from tests.cluster.request_info_oracle import RequestInfoOracle


@pytest.fixture(scope="session")
def request_info_oracle() -> Iterator[RequestInfoOracle]:
    """kube-apiserver's own request parser. Mark the test ``cluster``."""
    with RequestInfoOracle(built_directory()) as oracle:
        yield oracle

"""Bytes as a connection may cut them."""

import itertools
from collections.abc import Iterable


def cut_at(data: bytes, cuts: Iterable[int]) -> list[bytes]:
    """Cut ``data`` at these offsets."""
    edges = [0, *sorted(cut for cut in cuts if 0 < cut < len(data)), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(edges)]

"""Bytes as they may come: cut anywhere."""


def in_pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    """Return ``data`` in pieces of these sizes, and one of the rest."""
    pieces, position = [], 0
    for size in sizes:
        pieces.append(data[position : position + size])
        position += size
    return [piece for piece in (*pieces, data[position:]) if piece]

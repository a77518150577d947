"""The hash chain over the lines of one worker: pure.

Every line carries ``seq``, one more than the line before, and ``prev``, the SHA-256 of the line
before with its newline (so that ``sed -n 5p FILE | sha256sum`` is what line 6 must say). A changed,
removed, added or moved line breaks it. Removing the last lines does not: that is what signed
checkpoints, kept elsewhere, are for; they are to come as a further kind of record.
"""

import json
from collections.abc import Iterable, Sequence
from hashlib import sha256
from json.encoder import encode_basestring_ascii
from typing import Any

import msgspec

SCHEMA_VERSION = 1

MAX_LINE_BYTES = 1 << 20
"""Over the longest record: the caps of ``visible`` and a request head of 128 KiB bound it."""

_GENESIS_HASH = "0" * 64


class Head(msgspec.Struct, frozen=True):
    """The end of a chain so far.

    Attributes:
        seq: Of the last line; 0 before the first.
        line_hash: SHA-256 of the last line with its newline, hex; zeros before the first.
    """

    seq: int
    line_hash: str


GENESIS = Head(0, _GENESIS_HASH)


class BrokenChain(Exception):
    """A line that does not follow from the one before.

    Attributes:
        line_number: Counted from 1.
        why: What is wrong with it.
    """

    def __init__(self, line_number: int, why: str) -> None:
        super().__init__(f"line {line_number}: {why}")
        self.line_number = line_number
        self.why = why


class Verified(msgspec.Struct, frozen=True, kw_only=True):
    """A chain that holds.

    Attributes:
        lines: How many.
        start: What the first line goes on from; ``GENESIS`` where the chain is whole.
        head: Its end.
        worker: Whose it is; empty where there are no lines.
    """

    lines: int
    start: Head
    head: Head
    worker: str


def seal(head: Head, worker: str, records: Sequence[bytes]) -> tuple[list[bytes], Head]:
    """Put the envelope in front of ``records``, each an encoded JSON object that is not empty.

    Returns:
        The lines, each with its newline, and the head after them.
    """
    worker_json = encode_basestring_ascii(worker).encode()
    seq, previous = head.seq, head.line_hash.encode("ascii")
    lines: list[bytes] = []
    for record in records:
        seq += 1
        line = b'{"v":%d,"seq":%d,"prev":"%b","worker":%b,%b\n' % (
            SCHEMA_VERSION,
            seq,
            previous,
            worker_json,
            record[1:],
        )
        previous = sha256(line).hexdigest().encode("ascii")
        lines.append(line)
    return lines, Head(seq, previous.decode("ascii"))


def head_of(line: bytes) -> Head:
    """Return the head of a chain that ends in ``line``.

    Raises:
        ValueError: It is not a line of a decision log of this version.
    """
    return Head(_envelope(line)["seq"], sha256(line).hexdigest())


def worker_of(line: bytes) -> str:
    """Return the worker that wrote ``line``.

    Raises:
        ValueError: As in ``head_of``.
    """
    return str(_envelope(line)["worker"])


def verify_chain(lines: Iterable[bytes]) -> Verified:
    """Check that every line follows from the one before; lines keep their newlines.

    The first line may go on from another file: ``start`` says from where.

    Raises:
        BrokenChain: At the first line that does not follow.
    """
    start = head = GENESIS
    count, worker = 0, ""
    for count, line in enumerate(lines, start=1):
        try:
            envelope = _envelope(line)
        except ValueError as error:
            raise BrokenChain(count, str(error)) from error
        if count == 1:
            start = head = Head(envelope["seq"] - 1, envelope["prev"])
            worker = envelope["worker"]
        _check_follows(count, envelope, head, worker)
        head = Head(envelope["seq"], sha256(line).hexdigest())
    return Verified(lines=count, start=start, head=head, worker=worker)


def _check_follows(number: int, envelope: dict[str, Any], head: Head, worker: str) -> None:
    if envelope["seq"] != head.seq + 1:
        raise BrokenChain(number, f"seq is {envelope['seq']}, expected {head.seq + 1}")
    if envelope["prev"] != head.line_hash:
        raise BrokenChain(number, "prev is not the hash of the line before")
    if envelope["seq"] == 1 and envelope["prev"] != _GENESIS_HASH:
        raise BrokenChain(number, "prev of the first record is not zero")
    if envelope["worker"] != worker:
        raise BrokenChain(number, f"worker is {envelope['worker']!r}, expected {worker!r}")


def _envelope(line: bytes) -> dict[str, Any]:
    if not line.endswith(b"\n"):
        raise ValueError("the line is not complete")
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError("the line is not JSON") from error
    match record:
        case {"v": int(v), "seq": int(seq), "prev": str(), "worker": str()} if seq >= 1:
            if v != SCHEMA_VERSION:
                raise ValueError(f"the line is of schema version {v}, not {SCHEMA_VERSION}")
            return dict(record)
        case _:
            raise ValueError("the line is not a record of a decision log")

"""``kzproxy log``: read and verify a decision log."""

import contextlib
import json
import os
import time
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import click

from kzproxy.audit.chain import GENESIS, BrokenChain, verify_chain
from kzproxy.audit.rotation import moved_files
from kzproxy.audit.summary import Summary, Tone, summarize

_POLL_SECONDS = 0.2
_COLOURS = {Tone.GOOD: "green", Tone.BAD: "red", Tone.QUIET: "bright_black"}
_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.group()
def command() -> None:
    """Read and verify a decision log."""


@command.command()
@click.argument("files", type=_FILE, nargs=-1, required=True)
def verify(files: tuple[Path, ...]) -> None:
    """Check the hash chain of FILES, oldest first, as one chain.

    Exits 1 at the first line that does not follow from the one before.
    """
    places: list[tuple[Path, int]] = [(files[0], 0)]
    try:
        with files[-1].open("rb") as newest:  # Held: it may be moved away while others are read.
            older = _lines(files[:-1], places)
            verified = verify_chain(chain(older, _lines_in(files[-1], newest, places)))
    except OSError as error:
        file = error.filename or places[-1][0]
        raise click.ClickException(f"{file}: {error.strerror}") from error
    except BrokenChain as broken:
        file, number = places[-1]
        raise click.ClickException(f"{file}:{number}: {broken.why}") from broken
    click.echo(f"{verified.lines} lines of worker {verified.worker}, the chain is whole")
    if verified.start != GENESIS:
        start = verified.start
        click.echo(f"goes on from line {start.seq} of an earlier file, hash {start.line_hash}")
    click.echo(f"ends with line {verified.head.seq}, hash {verified.head.line_hash}")


@command.command()
@click.argument("file", type=_FILE)
@click.option("-f", "--follow", is_flag=True, help="Go on as the file grows, also over rotations.")
@click.option("--refused", is_flag=True, help="Only what was denied, refused or cut.")
def show(file: Path, *, follow: bool, refused: bool) -> None:
    """Show FILE with a line for each record."""
    colour = _colour()
    for line in _followed(file) if follow else _lines((file,), []):
        summary = _summary(line)
        if summary is None:
            click.secho("(a line that is no record)", fg="red", bold=True, color=colour)
        elif not refused or summary.tone is Tone.BAD:
            click.secho(summary.text, fg=_COLOURS[summary.tone], color=colour)


@command.command()
def schema() -> None:
    """Print the JSON Schema of a line."""
    from kzproxy.audit.schema import json_schema

    click.echo(json.dumps(json_schema(), indent=2))


def _colour() -> bool | None:
    """Return False where the user wants no colours (no-color.org), None where a terminal has them.

    A dumb terminal is one that would show the escapes.
    """
    is_unwanted = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return False if is_unwanted else None


def _summary(line: bytes) -> Summary | None:
    """Return what to show of ``line``; None where it is no record, or nested as none is."""
    try:
        record = json.loads(line)
        return summarize(record) if isinstance(record, dict) else None
    except (ValueError, RecursionError):
        return None


def _lines(files: tuple[Path, ...], places: list[tuple[Path, int]]) -> Iterator[bytes]:
    """Read ``files`` line by line; the last of ``places`` says where it is."""
    for file in files:
        with file.open("rb") as log:
            yield from _lines_in(file, log, places)


def _lines_in(file: Path, log: BinaryIO, places: list[tuple[Path, int]]) -> Iterator[bytes]:
    for number, line in enumerate(log, start=1):
        places[:] = [(file, number)]
        yield line


def _followed(file: Path) -> Iterator[bytes]:
    """Read ``file`` for ever, and go on in what takes its place, one after the other."""
    older = set(moved_files(file))
    log = file.open("rb")
    try:
        while True:
            yield from _until_replaced(file, log)
            # Held before the moved ones are listed, so that none is passed over or comes twice.
            replaced, log = log, file.open("rb")
            with replaced:
                yield from _moved_between(file, replaced, log, older)
    finally:
        log.close()


def _moved_between(
    file: Path, log: BinaryIO, present: BinaryIO, older: set[Path]
) -> Iterator[bytes]:
    """Read what was moved aside after ``log`` and before ``present``, and count it as older."""
    since = [each for each in moved_files(file) if each not in older]
    places = [place for place, each in enumerate(since) if _is_same(each, log)]
    first = places[0] + 1 if places else 0
    older.update(since[:first])
    for each in since[first:]:
        if _is_same(each, present):
            return
        older.add(each)
        with contextlib.suppress(FileNotFoundError):  # removed by now, as the oldest are
            yield from _lines((each,), [])


def _until_replaced(file: Path, log: BinaryIO) -> Iterator[bytes]:
    partial = b""
    while True:
        replaced = _is_replaced(file, log)  # before reading, so that nothing is left behind
        partial += log.readline()
        if partial.endswith(b"\n"):
            yield partial
            partial = b""
        elif replaced:
            return
        else:
            time.sleep(_POLL_SECONDS)


def _is_replaced(file: Path, log: BinaryIO) -> bool:
    """Return whether the writer has gone on in another file: its first line is there."""
    try:
        return file.stat().st_size > 0 and not _is_same(file, log)
    except FileNotFoundError:
        return False


def _is_same(file: Path, log: BinaryIO) -> bool:
    try:
        return os.path.samestat(file.stat(), os.fstat(log.fileno()))
    except FileNotFoundError:
        return False

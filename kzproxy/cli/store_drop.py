"""``kzproxy store drop``."""

import asyncio
from pathlib import Path

import click

from kzproxy.client.failure import ClientFailure
from kzproxy.clock.system import SystemClock
from kzproxy.devices.device_record import KEY_KIND
from kzproxy.devices.device_record import KIND as DEVICE_KIND
from kzproxy.store.sqlite import SqliteStore
from kzproxy.store.store import Delete


@click.command(name="drop")
@click.argument("kind")
@click.argument("key")
@click.option(
    "--file",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    required=True,
    help="The store: `store.file` in the configuration.",
)
def command(kind: str, key: str, file: Path) -> None:
    """Drop an entry that cannot be read.

    kzproxy's log and /readyz name KIND and KEY. What the entry said holds no longer: if it was a
    revocation, what that ended is taken again. Workers that run know of it at once.
    """
    if not asyncio.run(_dropped(file, kind, key)):
        raise ClientFailure(f"{file} has no entry {kind} {key}")
    click.echo(f"dropped {kind} {key}")


async def _dropped(file: Path, kind: str, key: str) -> bool:
    try:
        store = SqliteStore.open(file, SystemClock(), begin=False)
    except OSError as error:
        raise ClientFailure(str(error)) from error
    try:
        if await store.get(kind, key) is None:
            return False
        keys = await store.entries(KEY_KIND) if kind == DEVICE_KIND else ()
        taken = [one for one in keys if one.value == key.encode()]
        # A device's key with it, or its machine could not be enrolled again.
        await store.write(
            Delete(kind=kind, key=key), *(Delete(kind=KEY_KIND, key=one.key) for one in taken)
        )
    finally:
        await store.close()
    return True

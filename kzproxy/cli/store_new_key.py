"""``kzproxy store new-key``."""

import base64
import os

import click

_KEY_BYTES = 32


@click.command(name="new-key")
def command() -> None:
    """Print a new key that seals secrets in the store.

    \b
    (umask 077; kzproxy store new-key > store.keys)
    (umask 077; kzproxy store new-key | cat - store.keys > new && mv new store.keys)

    The second line exchanges the key: the first one in the file seals from the next start on, and
    the others still open what they sealed.
    """  # noqa: D301 - click's mark for a paragraph that keeps its lines
    click.echo(base64.b64encode(os.urandom(_KEY_BYTES)).decode())

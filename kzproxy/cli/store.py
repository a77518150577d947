"""``kzproxy store``: the tools for what kzproxy keeps, each in a module of its own."""

import click

from kzproxy.cli.lazy_group import Entry, LazyGroup

SUBCOMMANDS = {
    "new-key": Entry("kzproxy.cli.store_new_key", "Print a new key that seals secrets."),
    "drop": Entry("kzproxy.cli.store_drop", "Drop an entry that cannot be read."),
}


@click.group(name="store", cls=LazyGroup, table=SUBCOMMANDS)
def command() -> None:
    """The store in which kzproxy keeps sessions and devices: its keys, and what cannot be read."""

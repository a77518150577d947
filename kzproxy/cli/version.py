"""``kzproxy version``."""

import click

from kzproxy import __version__


@click.command(name="version")
def command() -> None:
    """Print the version."""
    click.echo(f"kzproxy {__version__}")

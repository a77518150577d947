"""``kzproxy version``."""

from importlib.metadata import version

import click


@click.command(name="version")
def command() -> None:
    """Print the version."""
    click.echo(f"kzproxy {version('kzproxy')}")

"""``kzproxy login``."""

import os
from pathlib import Path

import click

from kzproxy.cli.chosen_sign_in import chosen_settings, context_options
from kzproxy.cli.plugin_options import plugin_arguments, plugin_options
from kzproxy.client.id_token import read_claims
from kzproxy.client.sign_in import sign_in
from kzproxy.client.signed_in_user import display_name
from kzproxy.client.token_cache import TokenCache, cache_directory


@click.command(name="login")
@context_options
@plugin_options
def command(context: str, kubeconfig: Path | None, **given: object) -> None:
    """Sign in now, whether or not you are signed in already.

    Signs in as the kubeconfig context says, unless the options name an issuer; other options
    count more than the context's, as in `kzproxy login --flow device-code`.
    """
    settings = chosen_settings(os.environ, context, kubeconfig, plugin_arguments(given))
    cache = TokenCache(cache_directory(os.environ))
    entry = sign_in(settings, cache, os.environ, interactive=True).anew()
    name = display_name(read_claims(entry.id_token))
    click.echo(f"You are signed in as {name} for {settings.server or 'any cluster'}.", err=True)

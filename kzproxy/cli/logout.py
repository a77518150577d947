"""``kzproxy logout``."""

import os
from pathlib import Path

import click

from kzproxy.cli.chosen_sign_in import chosen_settings, context_options
from kzproxy.cli.plugin_options import plugin_arguments, plugin_options
from kzproxy.client.failure import ClientFailure
from kzproxy.client.kept_key import forget_client_keys
from kzproxy.client.plugin_arguments import parse_arguments
from kzproxy.client.plugin_settings import PluginSettings
from kzproxy.client.sign_in import sign_in
from kzproxy.client.token_cache import TokenCache, cache_directory


@click.command(name="logout")
@click.option("--all", "everything", is_flag=True, help="End every sign-in of this user.")
@click.option(
    "--forget-key",
    is_flag=True,
    help="Delete this client's key too; an enrolled device must be enrolled again.",
)
@context_options
@plugin_options
def command(
    everything: bool, forget_key: bool, context: str, kubeconfig: Path | None, **given: object
) -> None:
    """End the sign-in: delete its tokens here, and have the issuer take them back.

    Where kzproxy keeps the session, it ends at once, with everything that runs in it. The tokens
    here are gone in any case; exits 1 where the issuer could not be told.
    """
    cache = TokenCache(cache_directory(os.environ))
    if not everything:
        settings = chosen_settings(os.environ, context, kubeconfig, plugin_arguments(given))
        try:
            click.echo(_forget(settings, cache), err=True)
        finally:
            if forget_key and settings.client.keeps_session:
                forget_client_keys(cache, settings.client.issuer)
        return
    failures = [failure for key in cache.sign_ins() if (failure := _forget_entry(key, cache))]
    cache.forget_set_aside()
    if forget_key:
        forget_client_keys(cache)
    for failure in failures:
        click.echo(f"kzproxy: {failure}", err=True)
    if failures:
        raise SystemExit(1)
    click.echo("Signed out everywhere.", err=True)


def _forget(settings: PluginSettings, cache: TokenCache) -> str:
    return sign_in(settings, cache, os.environ, interactive=True).forgotten()


def _forget_entry(key: str, cache: TokenCache) -> str:
    """End the sign-in ``key``; return what went wrong, or an empty string."""
    try:
        entry = cache.read(key)
        if entry is not None:
            _forget(parse_arguments(entry.arguments), cache)
    except ClientFailure as failure:
        return str(failure)
    finally:
        cache.forget(key)
    return ""

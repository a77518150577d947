"""``kzproxy kubeconfig``."""

import base64
import os
import shutil
import ssl
import sys
from pathlib import Path

import click

from kzproxy.cli.plugin_options import plugin_arguments, plugin_options
from kzproxy.client.bounded_file import read_bounded
from kzproxy.client.device_pair import read_device_pair
from kzproxy.client.failure import ClientFailure
from kzproxy.client.https_url import host_and_port
from kzproxy.client.kubeconfig import ProxyContext
from kzproxy.client.kubeconfig_files import KubeconfigFiles, kubeconfig_paths, locked
from kzproxy.client.plugin_arguments import Misused, parse_arguments
from kzproxy.client.plugin_settings import PluginSettings

MAX_CA_BYTES = 1024 * 1024
STDOUT = Path("-")


@click.command(name="kubeconfig")
@click.option("--server-ca", default="", metavar="FILE", help="Authorities of the server (PEM).")
@click.option("--context", "name", default="", metavar="NAME", help="Default: the server's host.")
@click.option("--namespace", default="", metavar="NAME", help="The context's namespace.")
@click.option(
    "--set-current/--no-set-current", default=True, help="Make it the current context (default)."
)
@click.option("--force", is_flag=True, help="Replace entries of that name that differ.")
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The kubeconfig to write or merge into; - prints it. Default: as kubectl's.",
)
@plugin_options
def command(
    server_ca: str,
    name: str,
    namespace: str,
    set_current: bool,
    force: bool,
    output: Path | None,
    **given: object,
) -> None:
    """Write a kubectl context that goes through kzproxy and signs in by itself.

    --server is required, and --sign-in-url where kzproxy keeps sessions, else --issuer and
    --client-id. The sign-in's authorities are the server's, unless --issuer-ca names others.
    Everything else in the kubeconfig stays as it is; no secret goes into it.
    """
    if given["sign_in_url"] and server_ca and not given["issuer_ca"]:
        given["issuer_ca"] = server_ca
    settings = _checked(plugin_arguments(given))
    context = ProxyContext(
        name=name or settings.server.partition("://")[2].partition("/")[0],
        settings=settings,
        server_ca=_authorities(server_ca),
        namespace=namespace,
        command=plugin_command(sys.argv[0]),
    )
    if output == STDOUT:
        click.echo(context.document(current=set_current).text(), nl=False)
        return
    paths = (output,) if output else kubeconfig_paths(os.environ)
    with locked(paths):
        files = KubeconfigFiles(paths)
        before = files.current_context
        context.merge_into(files, force=force)
        if set_current and before != context.name:
            files.set_current_context(context.name)
        written = files.write()
    _report(context.name, before, files.current_context, written)


def plugin_command(program: str) -> list[str]:
    """Return how kubectl starts kzproxy: by its absolute path, as kubectl may lack our PATH."""
    found = shutil.which(program)
    if found and Path(found).name.removesuffix(".exe") == "kzproxy":
        return [str(Path(found).absolute())]
    return [sys.executable, "-P", "-m", "kzproxy"]


def _checked(arguments: list[str]) -> PluginSettings:
    settings = parse_arguments(arguments)
    if not _is_servers(settings.server):
        raise Misused(f"--server must be kzproxy's https:// URL, not {settings.server!r}")
    if settings.client.ca_file:
        _authorities(settings.client.ca_file)
    if settings.client.client_secret_file:
        read_bounded(settings.client.client_secret_file, MAX_CA_BYTES, "the client secret")
    if settings.device_certificate:
        read_device_pair(settings.device_certificate, settings.device_key)
    return settings


def _is_servers(url: str) -> bool:
    try:
        host_and_port(url)
    except ValueError:
        return False
    return "@" not in url


def _authorities(path: str) -> str:
    """Return a PEM file in base64, as a kubeconfig holds it; empty for none."""
    if not path:
        return ""
    pem = read_bounded(path, MAX_CA_BYTES, "the authorities' file")
    try:
        ssl.create_default_context(cadata=pem.decode("ascii"))
    except (ValueError, ssl.SSLError):
        raise ClientFailure(f"{path} holds no certificates in PEM") from None
    return base64.b64encode(pem).decode()


def _report(name: str, before: str, after: str, written: list[Path]) -> None:
    for path in written:
        click.echo(f"Wrote {path}.", err=True)
    if not written:
        click.echo(f"The context {name!r} is there already.", err=True)
    if after != before:
        was = f" (it was {before!r})" if before else ""
        click.echo(f"The current context is now {name!r}{was}.", err=True)
    option = "" if after == name else f" --context={name}"
    click.echo(f"Try: kubectl{option} auth whoami", err=True)

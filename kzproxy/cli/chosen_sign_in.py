"""Which sign-in a command is about: that of a kubeconfig context, or one given by options."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import click

from kzproxy.cli.plugin_options import Function
from kzproxy.client.kubeconfig import context_settings
from kzproxy.client.kubeconfig_files import KubeconfigFiles, kubeconfig_paths
from kzproxy.client.plugin_arguments import parse_arguments
from kzproxy.client.plugin_settings import PluginSettings


def at_terminal() -> bool:
    """Return whether a person types here, who can be asked to sign in."""
    # None where the program was started with it closed.
    return sys.stdin is not None and sys.stdin.isatty()


def context_options(function: Function) -> Function:
    """Give a command ``--context`` and ``--kubeconfig``."""
    context = click.option(
        "--context", metavar="NAME", default="", help="The kubeconfig context; default: current."
    )
    kubeconfig = click.option(
        "--kubeconfig",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="The kubeconfig file; default: as kubectl's.",
    )
    return context(kubeconfig(function))


def chosen_settings(
    environ: Mapping[str, str], context: str, kubeconfig: Path | None, arguments: Sequence[str]
) -> PluginSettings:
    """Return the settings of a context with ``arguments`` on top, or those of ``arguments`` alone.

    They stand alone where they name an issuer and no context is named.
    """
    named = any(argument.startswith(("--issuer=", "--sign-in-url=")) for argument in arguments)
    if not context and named:
        return parse_arguments(arguments)
    paths = (kubeconfig,) if kubeconfig else kubeconfig_paths(environ)
    return context_settings(KubeconfigFiles(paths), context, arguments)

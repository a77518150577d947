"""The commands by name, and how one is run."""

from collections.abc import Sequence
from typing import NoReturn

import click

from kzproxy.cli.lazy_group import Entry, LazyGroup
from kzproxy.client.failure import ClientFailure
from kzproxy.client.notices import visible
from kzproxy.client.plugin_arguments import Misused
from kzproxy.client.standard_output import UNWRITTEN, unwritten
from kzproxy.errors.configuration import ConfigurationError

EXIT_FAILED = 1
EXIT_MISTAKEN = 2


COMMANDS = {
    "demo": Entry("kzproxy.cli.demo", "Run everything on this machine, to try it out."),
    "serve": Entry("kzproxy.cli.serve", "Run the proxy."),
    "config": Entry("kzproxy.cli.config", "Check configuration files without starting."),
    "kubeconfig": Entry("kzproxy.cli.kubeconfig", "Write a kubectl context that uses kzproxy."),
    "login": Entry("kzproxy.cli.login", "Sign in now."),
    "logout": Entry("kzproxy.cli.logout", "Forget the sign-in, here and at the issuer."),
    "whoami": Entry("kzproxy.cli.whoami", "Show who you are signed in as."),
    "reason": Entry("kzproxy.cli.reason", "Say why you do what you do."),
    "why": Entry("kzproxy.cli.why", "Say why a request was refused, and what to do."),
    "device": Entry("kzproxy.cli.device", "Enroll this machine; administer devices."),
    "sessions": Entry("kzproxy.cli.sessions", "Show and end sessions; for administrators."),
    "policy": Entry("kzproxy.cli.policy", "Check, test and explain access policies."),
    "store": Entry("kzproxy.cli.store", "Make keys for what kzproxy keeps."),
    "log": Entry("kzproxy.cli.log", "Read and verify a decision log."),
    "completion": Entry("kzproxy.cli.completion", "Print a shell completion script."),
    "version": Entry("kzproxy.cli.version", "Print the version."),
}


@click.group(
    cls=LazyGroup,
    table=COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="kubectl runs `kzproxy credential` by itself; `kzproxy credential --help` explains it.",
)
@click.version_option(package_name="kzproxy", message="kzproxy %(version)s")
def group() -> None:
    """Zero-trust access to a Kubernetes API server."""


def run(arguments: Sequence[str]) -> NoReturn:
    """Run one command; a mistake of the user's is a line on stderr, never a traceback.

    Exits 2 for mistakes in configuration or usage and 1 for everything else that failed.
    """
    try:
        group.main(args=list(arguments), prog_name="kzproxy")
    except ConfigurationError as error:
        for mistake in error.mistakes:
            click.echo(f"kzproxy: {mistake}", err=True)
        raise SystemExit(EXIT_MISTAKEN) from None
    except ClientFailure as failure:
        click.echo(f"kzproxy: {visible(str(failure))}", err=True)
        code = EXIT_MISTAKEN if isinstance(failure, Misused) else EXIT_FAILED
        raise SystemExit(code) from None
    except UNWRITTEN as error:
        click.echo(f"kzproxy: {unwritten(error)}", err=True)
        raise SystemExit(EXIT_FAILED) from None

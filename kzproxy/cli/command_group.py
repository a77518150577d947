"""The commands by name; a command's module is imported only when that command is called."""

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import NoReturn

import click
from click.shell_completion import CompletionItem

from kzproxy.client.failure import ClientFailure
from kzproxy.client.plugin_arguments import Misused
from kzproxy.errors.configuration import ConfigurationError

EXIT_FAILED = 1
EXIT_MISTAKEN = 2


@dataclass(frozen=True, slots=True)
class Entry:
    """A command that need not be imported to be listed.

    Attributes:
        module: Holds the click command in ``command``.
        summary: The line in ``kzproxy --help``.
    """

    module: str
    summary: str


COMMANDS = {
    "demo": Entry("kzproxy.cli.demo", "Run everything on this machine, to try it out."),
    "serve": Entry("kzproxy.cli.serve", "Run the proxy."),
    "config": Entry("kzproxy.cli.config", "Check configuration files without starting."),
    "kubeconfig": Entry("kzproxy.cli.kubeconfig", "Write a kubectl context that uses kzproxy."),
    "login": Entry("kzproxy.cli.login", "Sign in now."),
    "logout": Entry("kzproxy.cli.logout", "Forget the sign-in, here and at the issuer."),
    "whoami": Entry("kzproxy.cli.whoami", "Show who you are signed in as."),
    "reason": Entry("kzproxy.cli.reason", "Say why you do what you do."),
    "log": Entry("kzproxy.cli.log", "Read and verify a decision log."),
    "completion": Entry("kzproxy.cli.completion", "Print a shell completion script."),
    "version": Entry("kzproxy.cli.version", "Print the version."),
}


class CommandGroup(click.Group):
    """A group that imports a command when it is called, not when it is listed."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the table's order."""
        return list(COMMANDS)

    def get_command(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        cmd_name: str,
    ) -> click.Command | None:
        """Import the command ``cmd_name``; None where there is none of that name."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        command = imported(entry.module, cmd_name).command
        assert isinstance(command, click.Command)  # noqa: S101 - a slip of ours, not of the user
        return command

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        """List the commands from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command's name from the table alone."""
        found = [
            CompletionItem(name, help=entry.summary)
            for name, entry in COMMANDS.items()
            if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)


def imported(module: str, command_name: str) -> ModuleType:
    """Import ``module``; the base install lacks what the server's commands need, so say that."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.startswith("kzproxy"):
            raise
        message = (
            f"`kzproxy {command_name}` needs the Python package {missing.name};"
            " install it with: pip install 'kzproxy[server]'"
        )
        raise click.ClickException(message) from missing


@click.group(
    cls=CommandGroup,
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
        click.echo(f"kzproxy: {failure}", err=True)
        code = EXIT_MISTAKEN if isinstance(failure, Misused) else EXIT_FAILED
        raise SystemExit(code) from None

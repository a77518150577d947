"""A group of commands by name; a command's module is imported only when that command is called."""

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import click
from click.shell_completion import CompletionItem


@dataclass(frozen=True, slots=True)
class Entry:
    """A command that need not be imported to be listed.

    Attributes:
        module: Holds the click command in ``command``.
        summary: The line in the group's ``--help``.
    """

    module: str
    summary: str


class LazyGroup(click.Group):
    """A group that imports a command when it is called, not when it is listed."""

    def __init__(self, *args: Any, table: Mapping[str, Entry], **kwargs: Any) -> None:
        """Hold the commands of ``table``, in its order; the rest is click's."""
        super().__init__(*args, **kwargs)
        self._table = table

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names in the table's order."""
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command ``cmd_name``; None where there is none of that name."""
        entry = self._table.get(cmd_name)
        if entry is None:
            return None
        # The first word is the program's own name.
        path = " ".join([*ctx.command_path.split()[1:], cmd_name])
        try:
            command = imported(entry.module, path).command
        except click.ClickException:
            if not ctx.resilient_parsing:
                raise
            return click.Command(cmd_name)  # a shell completes a word of it: there is none to offer
        assert isinstance(command, click.Command)  # noqa: S101 - a slip of ours, not of the user
        return command

    def format_commands(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        formatter: click.HelpFormatter,
    ) -> None:
        """List the commands from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in self._table.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete a command's name from the table alone."""
        found = [
            CompletionItem(name, help=entry.summary)
            for name, entry in self._table.items()
            if name.startswith(incomplete)
        ]
        return found + click.Command.shell_complete(self, ctx, incomplete)


def imported(module: str, command_path: str) -> ModuleType:
    """Import ``module``; the base install lacks what the server's commands need, so say that."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.startswith("kzproxy"):
            raise
        message = (
            f"`kzproxy {command_path}` needs the Python package {missing.name};"
            " install it with: pip install 'kzproxy[server]'"
        )
        raise click.ClickException(message) from missing

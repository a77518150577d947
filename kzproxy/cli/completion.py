"""``kzproxy completion``."""

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

SHELLS: dict[str, type[ShellComplete]] = {
    "bash": BashComplete,
    "fish": FishComplete,
    "zsh": ZshComplete,
}


@click.command(name="completion")
@click.argument("shell", type=click.Choice(list(SHELLS)))
@click.pass_context
def command(context: click.Context, shell: str) -> None:
    """Print a completion script for SHELL.

    For bash, put `source <(kzproxy completion bash)` into ~/.bashrc; for zsh the same with zsh
    into ~/.zshrc; for fish: `kzproxy completion fish > ~/.config/fish/completions/kzproxy.fish`.
    """
    group = context.find_root().command
    click.echo(SHELLS[shell](group, {}, "kzproxy", "_KZPROXY_COMPLETE").source())

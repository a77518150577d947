"""The credential plugin's options as options of other commands."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

import click
from click.shell_completion import CompletionItem

from kzproxy.client.plugin_arguments import OPTIONS, REPEATABLE
from kzproxy.client.plugin_settings import FLOWS

Function = TypeVar("Function", bound=Callable[..., object])


def plugin_options(function: Function) -> Function:
    """Give a command every option of ``kzproxy credential``, under the same name."""
    for name, (value, purpose) in reversed(OPTIONS.items()):
        add = click.option(
            name,
            _parameter(name),
            is_flag=not value,
            multiple=name in REPEATABLE,
            metavar=value or None,
            default=None if value else False,
            type=_type(name, value),
            help=purpose[0].upper() + purpose[1:] + ".",
        )
        function = add(function)
    return function


def _type(name: str, value: str) -> click.ParamType[str] | type[bool]:
    """Return a type that a shell can complete; what is allowed the plugin says itself."""
    if not value:
        return bool
    if value == "FILE":
        return click.Path()
    return _Flow() if name == "--flow" else click.STRING


class _Flow(click.ParamType[str]):
    name = "flow"

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002 - click's signature
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Return the flows that begin so."""
        return [CompletionItem(flow) for flow in FLOWS if flow.startswith(incomplete)]


def plugin_arguments(given: Mapping[str, object]) -> list[str]:
    """Return the plugin's command line for the options given to a command.

    A file is named by its absolute path, because kubectl runs the plugin elsewhere.
    """
    arguments = []
    for name, (value, _) in OPTIONS.items():
        found = given[_parameter(name)]
        if not value:
            arguments += [name] if found else []
            continue
        items = found if isinstance(found, tuple) else () if found is None else (found,)
        for item in items:
            text = str(Path(item).absolute()) if value == "FILE" and item else item
            arguments.append(f"{name}={text}")
    return arguments


def _parameter(name: str) -> str:
    return name.removeprefix("--").replace("-", "_")

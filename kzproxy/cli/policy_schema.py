"""``kzproxy policy schema``."""

import json

import click

from kzproxy.config.policy_schema import access_policy_schema
from kzproxy.policy_tools.case_schema import policy_test_schema

_EPILOG = """\b
Examples:
  kzproxy policy schema > access-policy.schema.json
  kzproxy policy schema --kind PolicyTest > policy-test.schema.json

\b
Then, as the first line of a policy, for editors with yaml-language-server:
  # yaml-language-server: $schema=access-policy.schema.json

\b
Exits 0. An editor finds fewer mistakes than `kzproxy policy check`: whether a
name is defined or an expression is right, only that can tell.
"""
_SCHEMAS = {"AccessPolicy": access_policy_schema, "PolicyTest": policy_test_schema}


@click.command(name="schema", epilog=_EPILOG)
@click.option(
    "--kind",
    type=click.Choice(list(_SCHEMAS)),
    default="AccessPolicy",
    show_default=True,
    help="The kind of file that it is for.",
)
def command(kind: str) -> None:
    """Print a JSON Schema (draft 7) of policy files, for editors."""
    click.echo(json.dumps(_SCHEMAS[kind](), indent=2))

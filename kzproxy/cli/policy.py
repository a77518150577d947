"""``kzproxy policy``: the tools for access policies, each in a module of its own."""

import click

from kzproxy.cli.lazy_group import Entry, LazyGroup

SUBCOMMANDS = {
    "check": Entry("kzproxy.cli.policy_check", "Find what is wrong or suspicious in policies."),
    "test": Entry("kzproxy.cli.policy_test", "Put test cases to policies."),
    "explain": Entry("kzproxy.cli.policy_explain", "Say why, and what would change it."),
    "replay": Entry("kzproxy.cli.policy_replay", "Take a log's decisions by another policy."),
    "diff": Entry("kzproxy.cli.policy_diff", "Show what differs between two policies."),
    "who-can": Entry("kzproxy.cli.policy_who_can", "Show who can do something, and when."),
    "schema": Entry("kzproxy.cli.policy_schema", "Print a JSON Schema for editors."),
}


@click.group(name="policy", cls=LazyGroup, table=SUBCOMMANDS)
def command() -> None:
    """Check, test and explain access policies, without a cluster and without serving.

    Each of these exits 0 where all is well, 1 where it found something, and 2 where it was called
    wrongly or could not read its files.
    """

"""Options that the policy commands share."""

from datetime import datetime
from pathlib import Path

import click

from kzproxy.clock.system import SystemClock
from kzproxy.policy_tools.told_time import instant_in

POLICY_FILES = click.argument(
    "files", type=click.Path(path_type=Path, dir_okay=False), nargs=-1, required=True
)

POLICIES = click.option(
    "-p",
    "--policy",
    "policies",
    type=click.Path(path_type=Path, dir_okay=False),
    multiple=True,
    required=True,
    help="A policy file; give all that belong together.",
)


class _Instant(click.ParamType[datetime]):
    """A point in time with its offset, as RFC 3339 writes it."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> datetime:
        """Read ``value``; a time without an offset has two readings and is refused."""
        try:
            return instant_in(str(value))
        except ValueError as error:
            self.fail(str(error), param, ctx)


AT = _Instant()


def now_or(at: datetime | None) -> datetime:
    """Return ``at``, or the present time where there is none."""
    return SystemClock().now() if at is None else at

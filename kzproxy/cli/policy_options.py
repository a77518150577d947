"""Options that the policy commands share."""

from datetime import datetime
from pathlib import Path

import click

from kzproxy.clock.system import SystemClock

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
            instant = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail("write it as 2026-03-04T10:00:00+01:00", param, ctx)
        if instant.tzinfo is None:
            self.fail(f"{value} has no offset; write {value}Z or another offset", param, ctx)
        return instant


AT = _Instant()


def now_or(at: datetime | None) -> datetime:
    """Return ``at``, or the present time where there is none."""
    return SystemClock().now() if at is None else at

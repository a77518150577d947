"""The moments at which a calendar turns."""

from datetime import UTC, datetime
from pathlib import Path

from kzproxy.policy_tools.turns import next_turns
from tests.policy_tools.policies import text_of

NIGHT = """
apiVersion: kzproxy.dev/v1
kind: AccessPolicy
metadata: {name: night}
calendars:
  night: {timeZone: UTC, weekly: [{days: [Fri], from: "22:00", to: "06:00"}]}
rules: []
"""


FOR_GOOD = """
apiVersion: kzproxy.dev/v1
kind: AccessPolicy
metadata: {name: good}
calendars:
  east: {timeZone: Pacific/Kiritimati, dated: [{from: "0001-01-01", to: "9999-12-31T23:59"}]}
  west: {timeZone: America/New_York, dated: [{from: "0001-01-01", to: "9999-12-31T23:59"}]}
  soon: {timeZone: UTC, dated: [{from: "2026-03-08", to: "9999-12-31"}]}
rules: []
"""


def test_what_lasts_to_the_end_of_time_is_for_good(tmp_path: Path) -> None:
    file = tmp_path / "good.yaml"
    file.write_text(FOR_GOOD)
    at = datetime(2026, 3, 7, 1, tzinfo=UTC)

    assert next_turns(text_of(file), at) == [datetime(2026, 3, 8, tzinfo=UTC)]


def test_a_window_that_began_yesterday_ends_today(tmp_path: Path) -> None:
    file = tmp_path / "night.yaml"
    file.write_text(NIGHT)
    saturday = datetime(2026, 3, 7, 1, tzinfo=UTC)

    assert next_turns(text_of(file), saturday) == [
        datetime(2026, 3, 7, 6, tzinfo=UTC),
        datetime(2026, 3, 13, 22, tzinfo=UTC),
        datetime(2026, 3, 14, 6, tzinfo=UTC),
    ]

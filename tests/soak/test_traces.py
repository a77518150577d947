"""A soak's logs are large: the last few runs' are kept."""

from datetime import UTC, datetime
from pathlib import Path

from kzproxy.clock.system import SystemClock
from soak.traces import new_directory


class Now(SystemClock):
    def now(self) -> datetime:
        return datetime(2026, 1, 9, 12, 0, 0, tzinfo=UTC)


def test_only_the_last_runs_are_kept_and_nothing_else_is_touched(tmp_path: Path) -> None:
    runs = [tmp_path / f"2026-01-0{day}T12-00-00" for day in range(1, 9)]
    for run in [*runs, tmp_path / "notes"]:
        (run / "control-plane").mkdir(parents=True)

    made = new_directory(tmp_path, Now(), kept=3)

    assert sorted(tmp_path.iterdir()) == [*runs[-2:], made, tmp_path / "notes"]
    assert list(made.iterdir()) == []


def test_the_first_run_makes_the_place(tmp_path: Path) -> None:
    made = new_directory(tmp_path / "kzproxy" / "soak", Now())
    assert made.is_dir()

"""Holidays of a calendar, by the real package."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from kzproxy.config.document import Mistakes, read_document
from kzproxy.config.policy_holidays import read_holidays
from kzproxy.errors.configuration import ConfigurationError
from kzproxy.policy.calendar import Holidays


def read(directory: Path, text: str) -> tuple[Holidays | None, list[str]]:
    file = directory / "holidays.yaml"
    file.write_text(text)
    mistakes = Mistakes()
    found = read_holidays(read_document(file, mistakes))
    try:
        mistakes.raise_if_any()
    except ConfigurationError as error:
        return found, [str(mistake) for mistake in error.mistakes]
    return found, []


@pytest.mark.parametrize(
    ("text", "day", "closed"),
    [
        ("country: CZ", "2026-12-24", True),
        ("country: CZ", "2026-12-27", False),
        ("country: CZ", "2031-12-24", True),
        ("{country: DE, subdivision: BY}", "2026-01-06", True),
        ("{country: DE, subdivision: BE}", "2026-01-06", False),
    ],
)
def test_days_are_those_of_the_country_and_its_part(
    tmp_path: Path, text: str, day: str, closed: bool
) -> None:
    holidays, mistakes = read(tmp_path, text)
    assert mistakes == []
    assert holidays is not None
    assert holidays.include(datetime.fromisoformat(day).replace(tzinfo=UTC).date()) is closed


@pytest.mark.parametrize("text", ["country: Nowhere", "{country: CZ, subdivision: BY}"])
def test_a_country_that_is_not_known_is_a_mistake(tmp_path: Path, text: str) -> None:
    holidays, mistakes = read(tmp_path, text)
    assert holidays is None
    assert len(mistakes) == 1
    assert "is no country or part of one" in mistakes[0]

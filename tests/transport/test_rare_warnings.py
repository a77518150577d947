"""What clients can have logged as often as they like is logged once a minute."""

import logging

import pytest

from kzproxy.transport.rare_warnings import RareWarnings


class Watch:
    """Monotonic seconds, as a test sets them."""

    def __init__(self) -> None:
        self.seconds = 5.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def warnings(watch: Watch) -> RareWarnings:
    return RareWarnings(logging.getLogger("kzproxy.rare"), watch)


def test_the_first_is_logged_though_the_machine_has_just_started(
    warnings: RareWarnings, caplog: pytest.LogCaptureFixture
) -> None:
    warnings.warn("%s was turned away", "192.0.2.1")
    assert caplog.messages == ["192.0.2.1 was turned away"]


def test_the_same_text_is_logged_again_a_minute_after_it_was_last_logged(
    warnings: RareWarnings, watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    for second in range(121):
        watch.seconds = 5.0 + second
        warnings.warn("%d", second)
    assert caplog.messages == ["0", "60", "120"]


def test_another_text_is_not_held_back_by_it(
    warnings: RareWarnings, caplog: pytest.LogCaptureFixture
) -> None:
    warnings.warn("one")
    warnings.warn("another")
    warnings.warn("one")
    assert caplog.messages == ["one", "another"]

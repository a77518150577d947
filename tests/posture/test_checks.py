import pytest

from kzproxy.attributes.device import Fact
from kzproxy.posture.checks import self_record
from kzproxy.posture.report import Report, ReportedCheck, ReportedHardware, ReportedSystem
from kzproxy.posture.settings import PostureSettings
from kzproxy.posture.source import SourceKind
from tests.authentication.manual_clock import ManualClock
from tests.posture.scene import HOUR, MINUTE

NOW = ManualClock().now()
LINUX = ReportedSystem(platform="linux", id="ubuntu", version="24.04")
FIRST = ReportedHardware(serial="S1", machine="m1")


def kept(
    checks=None,
    *,
    system=LINUX,
    hardware=FIRST,
    before=None,
    settings=None,
    age=0 * HOUR,
    now=NOW,
):
    report = Report(nonce="n", age=age, system=system, hardware=hardware, checks=checks or {})
    return self_record(report, "laptop", settings or PostureSettings(), now, before)


def fact(name, value, settings=None, **more):
    record = kept({name: ReportedCheck(v=value, **more)}, settings=settings)
    (check,) = record.checks.values()
    return check.fact


@pytest.mark.parametrize(
    ("name", "value", "found"),
    [
        ("firewall", True, Fact.PASSED),
        ("firewall", False, Fact.FAILED),
        ("firewall", None, Fact.UNKNOWN),
        ("firewall", 1, Fact.UNKNOWN),
        ("jailbroken", False, Fact.PASSED),
        ("jailbroken", True, Fact.FAILED),
        ("jailbroken", None, Fact.UNKNOWN),
        ("reboot_pending", True, Fact.FAILED),
        ("patch_age_days", 30, Fact.PASSED),
        ("patch_age_days", 31, Fact.FAILED),
        ("patch_age_days", None, Fact.UNKNOWN),
        ("patch_age_days", True, Fact.UNKNOWN),
    ],
)
def test_a_value_is_a_fact(name, value, found):
    assert fact(name, value) is found


def test_the_age_of_patches_is_kept_as_whether_it_is_patched():
    assert set(kept({"patch_age_days": ReportedCheck(v=3)}).checks) == {"patched"}


@pytest.mark.parametrize(
    ("after", "found"), [(600, Fact.PASSED), (601, Fact.FAILED), (None, Fact.UNKNOWN)]
)
def test_a_screen_that_locks_late_fails_where_that_matters(after, found):
    settings = PostureSettings(screen_lock=10 * MINUTE)

    assert fact("screen_lock", True, settings, max_s=after) is found
    assert fact("screen_lock", True, max_s=after) is Fact.PASSED


def test_a_devices_own_word_is_its_own_word():
    record = kept({"firewall": ReportedCheck(v=True)})

    assert (record.source, record.kind) == ("self+key", SourceKind.SELF_KEY)


def test_what_was_collected_before_is_as_old_as_it_is():
    assert kept(age=HOUR).observed_at == NOW - HOUR


def test_what_a_terminal_could_obey_is_not_kept():
    odd = ReportedSystem(platform="linux", id="u\x1b[2Jb", version="1\n2")

    record = kept({"firewall": ReportedCheck(v=True, why="a\u202eb")}, system=odd)

    assert (record.os, record.os_version) == ("u[2Jb", "12")
    assert record.checks["firewall"].why == "ab"


def test_no_serial_is_kept():
    assert "S1" not in str(kept())


def test_what_a_report_leaves_out_counts_as_long_as_it_would_have_without_that_report():
    first = kept({"firewall": ReportedCheck(v=True), "screen_lock": ReportedCheck(v=True)})
    later = {"now": NOW + 10 * MINUTE}

    second = kept({"screen_lock": ReportedCheck(v=False)}, before=first, **later)
    third = kept({}, before=second, now=NOW + 20 * MINUTE)

    assert second.checks["firewall"].fact is Fact.PASSED
    assert second.observed("firewall") == NOW
    assert second.observed("screen_lock") == NOW + 10 * MINUTE
    assert set(third.checks) == {"screen_lock"}
    assert third.observed("screen_lock") == NOW + 10 * MINUTE


def test_what_a_report_does_not_know_is_not_known_any_more():
    first = kept({"firewall": ReportedCheck(v=True)})

    second = kept({"firewall": ReportedCheck(v=None)}, before=first)

    assert second.checks["firewall"].fact is Fact.UNKNOWN


def test_a_device_that_became_another_has_nothing_left_of_before():
    first = kept({"firewall": ReportedCheck(v=True)})
    other = kept({}, hardware=ReportedHardware(machine="m2"), before=first)

    assert other.checks == {}
    assert kept({}, before=other).checks == {}


@pytest.mark.parametrize(
    ("system", "hardware", "drift"),
    [
        (LINUX, ReportedHardware(serial="S2", machine="m1"), "serial"),
        (LINUX, ReportedHardware(serial="S1", machine="m2"), "machine"),
        (ReportedSystem(platform="macos"), FIRST, "platform"),
        (ReportedSystem(platform="macos"), ReportedHardware(machine="m2"), "machine, platform"),
    ],
)
def test_a_device_that_becomes_another_has_told_nothing(system, hardware, drift):
    checks = {"firewall": ReportedCheck(v=True)}
    first = kept(checks)

    other = kept(checks, system=system, hardware=hardware, before=first)

    assert other.drift == drift
    assert {check.fact for check in other.checks.values()} == {Fact.UNKNOWN}
    assert (other.os, other.os_version) == ("", "")


def test_what_it_was_at_first_stays_what_it_must_be():
    first = kept()
    other = kept(hardware=ReportedHardware(serial="S2"), before=first)

    assert kept(hardware=ReportedHardware(serial="S2"), before=other).drift == "serial"
    assert not kept(before=other).drift


def test_a_new_version_or_a_mark_that_was_not_seen_is_no_other_device():
    first = kept(hardware=ReportedHardware(machine="m1"))
    newer = ReportedSystem(platform="linux", id="debian", version="13")

    second = kept(system=newer, before=first)

    assert not second.drift
    assert kept(hardware=ReportedHardware(serial="S9"), before=second).drift == "serial"

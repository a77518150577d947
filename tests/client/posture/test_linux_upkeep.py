import pytest

from kzproxy.client.posture.finding import Unknowable
from kzproxy.client.posture.linux_upkeep import auto_update, managed, patch_age_days
from tests.client.posture.machines import Systemd

APT = "/etc/apt/apt.conf.d"


@pytest.mark.parametrize(
    "path", ["/var/log/dpkg.log", "/var/lib/rpm/rpmdb.sqlite", "/lib/apk/db/installed"]
)
def test_the_age_of_patches_is_that_of_the_newest_installation(tree, path):
    tree.write(path, age_days=6.5).write("/var/lib/dpkg/status", age_days=90)

    assert patch_age_days(tree.machine()).value == 6


def test_a_clock_that_is_a_little_off_is_no_matter(tree):
    tree.write("/var/log/dpkg.log", age_days=-0.01)

    assert patch_age_days(tree.machine()).value == 0


def test_what_was_written_in_the_future_cannot_be_told(tree):
    tree.write("/var/log/dpkg.log", age_days=-3)

    with pytest.raises(Unknowable, match="clock"):
        patch_age_days(tree.machine())


def test_a_machine_without_a_package_manager_cannot_be_told(tree):
    with pytest.raises(Unknowable, match="package manager"):
        patch_age_days(tree.machine())


@pytest.mark.parametrize(
    ("files", "value"),
    [
        ({"20auto-upgrades": 'APT::Periodic::Unattended-Upgrade "1";\n'}, True),
        ({"20auto-upgrades": 'APT::Periodic::Unattended-Upgrade "0";\n'}, False),
        ({"20auto-upgrades": '// APT::Periodic::Unattended-Upgrade "1";\n'}, False),
        ({"50other": "APT::Install-Suggests 0;\n"}, False),
        (
            {
                "20auto-upgrades": 'APT::Periodic::Unattended-Upgrade "1";\n',
                "99local": 'APT::Periodic::Unattended-Upgrade "0";\n',
                "99local.dpkg-old": 'APT::Periodic::Unattended-Upgrade "1";\n',
            },
            False,
        ),
    ],
)
def test_apt_upgrades_by_itself_as_its_last_file_says(tree, files, value):
    for name, text in files.items():
        tree.write(f"{APT}/{name}", text)

    assert auto_update(tree.machine()).value is value


@pytest.mark.parametrize("value", [True, False])
def test_dnf_upgrades_by_itself_where_a_timer_is_active(tree, value):
    systemd = Systemd("dnf5-automatic.timer") if value else Systemd()

    assert auto_update(tree.machine(systemd)).value is value


@pytest.mark.parametrize(
    ("path", "name"),
    [("/opt/orbit/identifier", "fleet"), ("/etc/landscape/client.conf", "landscape")],
)
def test_a_machine_with_a_managers_files_is_managed(tree, path, name):
    found = managed(tree.write(path).machine())

    assert (found.value, found.details) == (True, {"name": name})


@pytest.mark.parametrize(
    ("text", "name"),
    [('{"by": "IT"}', "IT"), ("not json", ""), ("[" * 9999, ""), ("[]", ""), ('{"by": 3}', "")],
)
def test_our_own_file_says_who_manages_if_it_can_be_read(tree, text, name):
    found = managed(tree.write("/etc/kzproxy/managed.json", text).machine())

    assert (found.value, found.details) == (True, {"name": name})


def test_a_machine_without_is_not_managed(tree):
    assert managed(tree.machine()).value is False

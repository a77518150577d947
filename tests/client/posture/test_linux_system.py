import pytest

from kzproxy.client.posture import linux_system
from kzproxy.client.posture.finding import Unknowable
from kzproxy.client.posture.linux_system import machine_id, release, serial, tpm

UBUNTU = """PRETTY_NAME="Ubuntu 24.04.1 LTS"
NAME="Ubuntu"
VERSION_ID="24.04"
ID=ubuntu
ID_LIKE=debian
"""
FEDORA = """NAME="Fedora Linux"
ID=fedora
VERSION_ID=41
PRETTY_NAME="Fedora Linux 41 (Workstation Edition)"
"""
ARCH = 'NAME="Arch Linux"\nID=arch\nBUILD_ID=rolling\n'
ODD = "=x\n#ID=a\nID=\"unclosed\nVERSION_ID='3 4'\nNAME=\n\0\n"
MACHINE_ID = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        (UBUNTU, ("ubuntu", "Ubuntu 24.04.1 LTS", "24.04", "")),
        (FEDORA, ("fedora", "Fedora Linux 41 (Workstation Edition)", "41", "")),
        (ARCH, ("arch", "Arch Linux", "", "rolling")),
        (ODD, ("linux", "", "3 4", "")),
        ("", ("linux", "Linux", "", "")),
    ],
)
def test_a_distribution_is_called_as_it_calls_itself(tree, text, fields):
    tree.write("/etc/os-release", text)

    assert tuple(release(tree.machine()).values()) == fields


def test_the_file_of_the_distribution_counts_where_etc_has_none(tree):
    tree.write("/usr/lib/os-release", UBUNTU)

    assert release(tree.machine())["id"] == "ubuntu"


def test_the_machines_own_id_does_not_leave_it(tree):
    tree.write("/etc/machine-id", MACHINE_ID + "\n")

    told = machine_id(tree.machine())

    assert len(told) == 32
    assert told != MACHINE_ID


def test_the_same_machine_has_the_same_id_and_another_has_another(tree):
    tree.write("/etc/machine-id", MACHINE_ID + "\n")
    told = machine_id(tree.machine())

    assert machine_id(tree.machine()) == told
    assert machine_id(tree.write("/etc/machine-id", "f" * 32).machine()) != told


@pytest.mark.parametrize("text", ["", "uninitialized\n", "0123", MACHINE_ID.upper()])
def test_a_machine_without_an_id_has_none(tree, text):
    with pytest.raises(Unknowable, match="machine-id"):
        machine_id(tree.write("/etc/machine-id", text).machine())


@pytest.mark.parametrize("text", ["", " \n", "To Be Filled By O.E.M.\n", "Default string\n"])
def test_a_board_without_a_serial_has_none(tree, text):
    with pytest.raises(Unknowable, match="left it empty"):
        serial(tree.write("/sys/class/dmi/id/product_serial", text).machine())


def test_a_serial_that_only_root_may_read_says_so(tree):
    tree.directory("/sys/class/dmi/id")
    (tree.root / "sys/class/dmi/id/product_serial").symlink_to("product_serial")  # ELOOP

    with pytest.raises(Unknowable, match="cannot be read"):
        serial(tree.machine())


def test_a_tpm_is_seen_with_its_version(tree):
    assert tpm(tree.write("/sys/class/tpm/tpm0/tpm_version_major", "2\n").machine()) == "2"


def test_control_characters_do_not_reach_a_report(tree):
    tree.write("/sys/class/dmi/id/sys_vendor", "Evil\x1b[31m Inc\n")

    assert linux_system.vendor(tree.machine()) == "Evil[31m Inc"

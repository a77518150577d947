import json

from click.testing import CliRunner

from kzproxy.cli.device import command
from kzproxy.cli.device_posture_report import posture_lines
from kzproxy.client.posture.linux import CHECKS
from tests.client.posture.machines import FixtureTree, mounted


def run(*arguments):
    done = CliRunner().invoke(command, ["posture", *map(str, arguments)])
    assert done.exit_code == 0, done.output
    return done.output


def laptop(tmp_path):
    tree = FixtureTree(tmp_path / "root")
    tree.mapped("dm-0", "253:0", "CRYPT-LUKS2-x", tree.disk("sda", "8:0"))
    tree.mounts(mounted("/", "253:0"))
    tree.write("/etc/os-release", 'ID=ubuntu\nVERSION_ID=24.04\nPRETTY_NAME="Ubuntu 24.04"\n')
    tree.write("/proc/sys/kernel/osrelease", "6.8.0-49-generic\n")
    tree.write("/sys/class/dmi/id/sys_vendor", "LENOVO\n")
    return tree.root


def test_a_person_sees_each_fact_and_how_it_is_known(tmp_path):
    lines = run("--root", laptop(tmp_path)).splitlines()

    assert lines[0] == "Ubuntu 24.04 (ubuntu 24.04)"
    assert lines[1] == "  kernel          6.8.0-49-generic"
    assert "  vendor          LENOVO" in lines
    assert "  tpm             -        there is no /sys/class/tpm" in lines
    assert "  disk_encrypted  yes      / on encrypted devices alone" in lines
    assert (
        "  firewall        unknown  systemctl is asked only about the machine that it runs on"
        in lines
    )


def test_json_is_what_would_be_sent_and_what_is_missing(tmp_path):
    told = json.loads(run("-o", "json", "--root", laptop(tmp_path)))

    assert set(CHECKS) <= {*told["checks"], *told["missing"]}
    assert told["checks"]["disk_encrypted"]["v"] is True
    assert told["checks"]["firewall"]["v"] is None
    assert told["missing"]["tpm"] == "there is no /sys/class/tpm"


def test_this_machine_is_shown_without_arguments():
    assert "disk_encrypted" in run()


def test_an_empty_tree_is_a_machine_of_which_nothing_is_known(tmp_path):
    lines = run("--root", tmp_path).splitlines()

    assert lines[0] == "Linux (linux)"
    assert "  kernel          not known" in lines


def test_the_state_of_a_device_is_shown_with_reasons_and_alarms():
    device = {
        "posture": {
            "observedAt": "2026-06-01T12:00:00Z",
            "os": "ubuntu",
            "osVersion": "24.04",
            "checks": [
                {"name": "firewall", "fact": "failed", "source": "mdm"},
                {
                    "name": "screen_lock",
                    "fact": "unknown",
                    "source": "self+key",
                    "why": "no\x1b[2J",
                },
            ],
            "disputed": ["firewall"],
            "drift": "serial",
        }
    }

    lines = list(posture_lines(device))

    assert lines[0].endswith("ubuntu 24.04")
    assert lines[1:] == [
        "    firewall         failed   mdm",
        "    screen_lock      unknown  self+key: no?[2J",
        "  alarm        sources contradict each other about firewall",
        "  alarm        it says that it is another machine than at first (serial)",
    ]


def test_nothing_is_said_where_nothing_is_known():
    assert list(posture_lines({})) == []

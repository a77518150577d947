"""Whatever the files of a machine hold and its programs say, it is a finding or cannot be told."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from kzproxy.client.posture.commands import Said
from kzproxy.client.posture.finding import Finding, Unknowable
from kzproxy.client.posture.linux import CHECKS
from kzproxy.client.posture.linux_system import machine_id, release, vendor
from tests.client.posture.machines import FixtureTree

FILES = (
    "/etc/apt/apt.conf.d/20auto-upgrades",
    "/etc/kzproxy/managed.json",
    "/etc/machine-id",
    "/etc/os-release",
    "/etc/ufw/ufw.conf",
    "/home/ana/.config/kscreenlockerrc",
    "/proc/self/mountinfo",
    "/proc/sys/kernel/osrelease",
    "/sys/class/dmi/id/sys_vendor",
    "/sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c",
    "/sys/kernel/security/lockdown",
)
WORDS = st.sampled_from(
    [*("/", "8:0", "[none]", "ENABLED=yes", "active", "ID=", "[Daemon]", "Timeout=", " - "), '"']
)
CONTENT = st.binary(max_size=60) | st.lists(WORDS, max_size=12).map(" ".join).map(str.encode)


class Says:
    """Stands in for every program: the same answer whatever it is asked."""

    def __init__(self, said: Said) -> None:
        self.said = said

    def run(self, *_: str) -> Said:
        return self.said


SAID = st.builds(
    Said,
    code=st.integers(0, 4),
    output=st.text(max_size=60) | st.lists(WORDS, max_size=6).map("\n".join),
)


@given(
    contents=st.dictionaries(st.sampled_from(FILES), CONTENT),
    said=SAID,
    desktop=st.sampled_from(["", "GNOME", "KDE", "::", "x"]),
)
@settings(max_examples=200, deadline=None)
def test_every_probe_tells_or_says_why_it_cannot(contents, said, desktop):
    with tempfile.TemporaryDirectory() as directory:
        tree = FixtureTree(Path(directory))
        for path, content in contents.items():
            tree.write(path, content)
        machine = tree.machine(Says(said), {"XDG_CURRENT_DESKTOP": desktop})
        for probe in (*CHECKS.values(), release, vendor, machine_id):
            assert why(probe, machine)


def why(probe, machine) -> str:
    """Return how a probe knows what it tells, or why it does not; any other exception is a bug."""
    try:
        found = probe(machine)
    except Unknowable as unknowable:
        return str(unknowable)
    return found.why if isinstance(found, Finding) else "it is a text"

import base64
import hashlib
import json

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kzproxy.client.posture.finding import Late
from kzproxy.client.posture.linux import CHECKS, LinuxCollector, linux_collector
from kzproxy.client.posture.other import OtherCollector
from kzproxy.client.posture.report import collector, document, signed_report
from kzproxy.clock.system import SystemClock
from tests.authentication.manual_clock import ManualClock
from tests.client.posture.machines import Systemd, mounted


class Key:
    """A P-256 key in memory."""

    def __init__(self):
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.public = self.private.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )

    def sign(self, data):
        r, s = decode_dss_signature(self.private.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def part(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@pytest.fixture
def machine(tree):
    tree.mapped("dm-0", "253:0", "CRYPT-LUKS2-x", tree.disk("sda", "8:0"))
    tree.mounts(mounted("/", "253:0"))
    tree.write("/etc/os-release", "ID=ubuntu\nVERSION_ID=24.04\n")
    return tree.machine(Systemd("nftables"))


def test_a_report_is_signed_by_the_key_that_it_names(machine):
    key, clock = Key(), ManualClock()

    report = signed_report(
        key, "https://kz", "n-1", source=LinuxCollector(machine, ManualClock()), clock=clock
    )

    header, claims, signature = report.split(".")
    thumbprint = base64.urlsafe_b64encode(hashlib.sha256(key.public).digest()).decode().rstrip("=")
    assert json.loads(part(header)) == {
        "typ": "kzproxy-posture+jwt",
        "alg": "ES256",
        "kid": thumbprint,
    }
    raw = part(signature)
    r, s = int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")
    key.private.public_key().verify(
        encode_dss_signature(r, s), f"{header}.{claims}".encode(), ec.ECDSA(hashes.SHA256())
    )
    said = json.loads(part(claims))
    assert (said["aud"], said["nonce"]) == ("https://kz", "n-1")
    assert said["iat"] == int(clock.now().timestamp())
    assert said["posture"]["schema"] == "kzproxy.posture/v1"
    assert said["posture"]["os"]["id"] == "ubuntu"


def test_a_check_is_true_false_or_null_and_says_why(machine):
    checks = document(LinuxCollector(machine, ManualClock()).collect())["checks"]

    assert set(checks) == set(CHECKS)
    assert checks["disk_encrypted"] == {
        "v": True,
        "src": "os",
        "why": "/ on encrypted devices alone",
    }
    assert checks["firewall"]["v"] is True
    assert checks["edr_running"]["v"] is False
    assert checks["secure_boot"]["v"] is None
    assert all(check["why"] for check in checks.values())


def test_this_machine_can_be_asked_whatever_it_is():
    posture = collector(SystemClock()).collect()

    assert set(posture.checks) == set(CHECKS)
    assert posture.os["platform"] == "linux"


def test_a_system_without_collectors_says_which_one_it_is_and_nothing_else():
    posture = OtherCollector().collect()

    assert posture.checks == {}
    assert posture.os["platform"] == "linux"
    assert "no collectors for Linux yet" in posture.missing["checks"]


def test_no_program_is_asked_about_another_root(tree):
    posture = linux_collector(tree.root, {"XDG_CURRENT_DESKTOP": "GNOME"}, ManualClock()).collect()

    assert posture.checks["firewall"].why == (
        "systemctl is asked only about the machine that it runs on"
    )
    assert posture.checks["screen_lock"].value is None
    assert {finding.value for finding in posture.checks.values()} == {None, False}


def test_what_is_not_found_out_in_time_is_left_out_of_the_report(tree):
    class Slow:
        def run(self, *words):
            raise Late(f"{words[0]} did not answer in time")

    posture = LinuxCollector(tree.machine(Slow()), ManualClock()).collect()

    assert posture.checks["firewall"].is_late
    assert posture.checks["firewall"].why == "systemctl did not answer in time"
    assert set(document(posture)["checks"]) == set(CHECKS) - {
        "firewall",
        "edr_running",
        "screen_lock",
        "auto_update",
    }


def test_what_a_file_says_is_cut(tree):
    tree.write("/etc/os-release", f"ID=ubuntu\nPRETTY_NAME={'x' * 5000}\n")

    posture = LinuxCollector(tree.machine(), ManualClock()).collect()

    assert len(posture.os["name"]) == 200

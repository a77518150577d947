"""Which certificates name a device, and when they hold."""

import contextlib
import hashlib
import socket
import ssl
import threading
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.attributes.device import NO_DEVICE, Fact
from kzproxy.devices.certificate_reading import MAX_CHAIN
from kzproxy.devices.device_certificate import DeviceAuthority
from kzproxy.devices.names import key_thumbprint
from kzproxy.transport.tls import ListenerTls, listener_context, verified_chain
from tests.servers.authority import Authority

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
BEGIN = datetime(2026, 6, 1, tzinfo=UTC)
END = datetime(2026, 6, 2, tzinfo=UTC)

ROOT = Authority.root("device root")
STRANGER = Authority.root("somebody else's root")
DEVICES = DeviceAuthority(ROOT.pem)


def uri(text):
    return x509.UniformResourceIdentifier(text)


def posture_of(issued, now=NOW, devices=DEVICES):
    """Judge as requests are, the first one and those after it; all are judged alike."""
    posture = devices.assess(devices.read(issued.der_chain), now)
    assert devices.posture(issued.der_chain, now) == posture
    return posture


def test_a_device_certificate_names_the_device():
    issued = ROOT.device("laptop-1")
    posture = posture_of(issued)
    assert posture.enrolled is Fact.PASSED
    assert posture.device_id == "laptop-1"
    assert posture.thumbprint == hashlib.sha256(issued.der_chain[0]).hexdigest()
    assert posture.reason == ""
    assert posture.expires_at == issued.certificate.not_valid_after_utc


def test_a_device_is_vouched_for_by_the_configured_certificate_that_it_leads_to():
    intermediate = ROOT.intermediate()
    both = DeviceAuthority(ROOT.pem + intermediate.pem)
    fingerprint = hashlib.sha256(ROOT.issued.der_chain[0]).hexdigest()

    assert posture_of(ROOT.device("d")).vouched_by == fingerprint
    assert posture_of(ROOT.device("d"), devices=both).vouched_by == fingerprint
    assert posture_of(intermediate.device("d")).vouched_by == fingerprint
    assert posture_of(intermediate.device("d"), devices=both).vouched_by != fingerprint
    assert posture_of(intermediate.device("d"), devices=both).vouched_by in both.fingerprints
    assert posture_of(STRANGER.device("d")).vouched_by == ""
    assert posture_of(ROOT.device("d"), now=NOW + timedelta(days=365 * 100)).vouched_by == ""


def test_without_a_certificate_nothing_is_known():
    assert DEVICES.read(()) is None
    assert DEVICES.assess(None, NOW) is NO_DEVICE
    assert NO_DEVICE.enrolled is Fact.UNKNOWN


def test_the_root_may_be_left_out_of_the_chain():
    issued = ROOT.device("laptop-1")
    certificate = DEVICES.read(issued.der_chain[:1])
    assert certificate == DEVICES.read(issued.der_chain)


@pytest.mark.parametrize("name", ["a", "A-1.b_c:9", "f" * 128, "0", "host.example.com"])
def test_a_name_of_the_allowed_letters_is_taken(name):
    assert posture_of(ROOT.device(name)).device_id == name


@pytest.mark.parametrize(
    "name", ["", "a b", "a/b", "a%20b", "a\\b", "f" * 129, "a\x00b", "a\nb", "../a", "a?b", "a#b"]
)
def test_e7_another_name_is_no_device(name):
    posture = posture_of(ROOT.device(name))
    assert posture.enrolled is Fact.FAILED
    assert posture.device_id == ""
    assert posture.thumbprint
    assert "not 1 to 128 letters" in posture.reason


def test_the_common_name_counts_where_no_uri_names_the_device():
    issued = ROOT.issue(common_names=["laptop-2"], alternative_names=[uri("spiffe://td/x")])
    assert posture_of(issued).device_id == "laptop-2"


def test_the_uri_comes_before_the_common_name():
    issued = ROOT.issue(
        common_names=["another"], alternative_names=[uri("urn:kzproxy:device:laptop-1")]
    )
    assert posture_of(issued).device_id == "laptop-1"


@pytest.mark.parametrize(
    ("common_names", "alternative_names", "count"),
    [
        ([], [], 0),
        (["a", "b"], [], 2),
        (["a"], ["urn:kzproxy:device:a", "urn:kzproxy:device:b"], 2),
        (["a"], ["urn:kzproxy:device:a", "URN:KZPROXY:device:a"], 2),
    ],
)
def test_e7_a_certificate_that_names_none_or_two_is_no_device(
    common_names, alternative_names, count
):
    issued = ROOT.issue(
        common_names=common_names, alternative_names=[uri(name) for name in alternative_names]
    )
    posture = posture_of(issued)
    assert posture.enrolled is Fact.FAILED
    assert f"and it names {count}" in posture.reason


def test_dns_names_name_no_device():
    issued = ROOT.issue(alternative_names=[x509.DNSName("laptop-1")])
    assert posture_of(issued).enrolled is Fact.FAILED


@pytest.mark.parametrize(
    "usages",
    [
        (),
        (ExtendedKeyUsageOID.SERVER_AUTH,),
        (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,),
        (ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.SERVER_AUTH),
    ],
)
def test_e7_a_certificate_must_be_for_client_authentication(usages):
    posture = posture_of(ROOT.issue(common_names=["laptop-1"], usages=usages))
    assert posture.enrolled is Fact.FAILED
    assert "EKU clientAuth" in posture.reason


def test_a_certificate_may_be_for_more_than_client_authentication():
    usages = (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH)
    assert posture_of(ROOT.issue(common_names=["a"], usages=usages)).enrolled is Fact.PASSED


def test_e7_an_authority_is_no_device():
    posture = posture_of(ROOT.issue(common_names=["laptop-1"], authority=True))
    assert posture.enrolled is Fact.FAILED
    assert "certificate authority's" in posture.reason


def test_e7_the_device_ca_itself_is_no_device():
    posture = posture_of(ROOT.issued)
    assert posture.enrolled is Fact.FAILED
    assert "device CA's own" in posture.reason


def test_e7_a_certificate_of_another_authority_is_no_device():
    posture = posture_of(STRANGER.device("laptop-1"))
    assert posture.enrolled is Fact.FAILED
    assert posture.device_id == ""
    assert "is not from the device CA" in posture.reason


def test_e7_an_authority_of_the_same_name_is_not_the_same_authority():
    impostor = Authority.root("device root")
    assert posture_of(impostor.device("laptop-1")).enrolled is Fact.FAILED


def test_e7_a_chain_that_only_lies_beside_the_device_ca_is_not_from_it():
    """Leaf of a stranger, followed by the real root."""
    chain = (STRANGER.device("laptop-1").der_chain[0], ROOT.issued.der_chain[0])
    assert DEVICES.assess(DEVICES.read(chain), NOW).enrolled is Fact.FAILED


def test_an_intermediate_authority_is_followed():
    issued = ROOT.intermediate("one").intermediate("two").device("laptop-1")
    assert len(issued.der_chain) == 4
    assert posture_of(issued).device_id == "laptop-1"


def test_an_intermediate_authority_may_be_the_one_that_is_trusted():
    below = ROOT.intermediate("one")
    devices = DeviceAuthority(below.pem)
    assert posture_of(below.device("laptop-1"), devices=devices).enrolled is Fact.PASSED
    assert posture_of(ROOT.device("laptop-1"), devices=devices).enrolled is Fact.FAILED


def test_one_of_several_authorities_is_enough():
    devices = DeviceAuthority(STRANGER.pem + ROOT.pem)
    assert posture_of(ROOT.device("laptop-1"), devices=devices).enrolled is Fact.PASSED


def test_e7_a_missing_intermediate_breaks_the_chain():
    issued = ROOT.intermediate("one").device("laptop-1")
    chain = (issued.der_chain[0], issued.der_chain[2])
    assert DEVICES.assess(DEVICES.read(chain), NOW).enrolled is Fact.FAILED


def test_e7_a_device_cannot_issue_devices():
    not_an_authority = ROOT.intermediate("a device", authority=False)
    posture = posture_of(not_an_authority.device("laptop-1"))
    assert posture.enrolled is Fact.FAILED
    assert "no authority" in posture.reason


def test_a_certificate_holds_from_its_first_to_its_last_second():
    issued = ROOT.issue(common_names=["a"], not_before=BEGIN, not_after=END)
    second = timedelta(seconds=1)
    assert posture_of(issued, BEGIN).enrolled is Fact.PASSED
    assert posture_of(issued, END).enrolled is Fact.PASSED
    assert posture_of(issued, BEGIN - second).enrolled is Fact.FAILED
    assert posture_of(issued, END + second).enrolled is Fact.FAILED


def test_e5_5_the_time_is_judged_anew_on_every_request():
    certificate = DEVICES.read(
        ROOT.issue(common_names=["a"], not_before=BEGIN, not_after=END).der_chain
    )
    assert DEVICES.assess(certificate, END).enrolled is Fact.PASSED
    expired = DEVICES.assess(certificate, END + timedelta(seconds=1))
    assert expired.device_id == ""
    assert expired.reason.startswith("the device certificate expired at 2026-06-02T00:00:00Z; ")
    assert expired.expires_at == END
    early = DEVICES.assess(certificate, BEGIN - timedelta(seconds=1))
    assert "valid only from 2026-06-01T00:00:00Z on; compare the clocks" in early.reason


@pytest.mark.parametrize("where", ["root", "intermediate"])
def test_e7_an_authority_that_has_ended_ends_its_devices(where):
    root = Authority.root("r", **({"not_after": END} if where == "root" else {}))
    below = root.intermediate("i", **({"not_after": END} if where == "intermediate" else {}))
    devices = DeviceAuthority(root.pem)
    issued = below.device("laptop-1")
    for chain in (issued.der_chain, issued.der_chain[:2]):
        certificate = devices.read(chain)
        assert devices.assess(certificate, END).expires_at == END
        assert devices.assess(certificate, END).enrolled is Fact.PASSED
        assert devices.assess(certificate, END + timedelta(seconds=1)).enrolled is Fact.FAILED


def test_a_chain_that_is_too_long_is_refused():
    issued = ROOT.device("laptop-1")
    chain = issued.der_chain[:1] * (MAX_CHAIN + 1)
    assert "longer than 8" in DEVICES.assess(DEVICES.read(chain), NOW).reason


@pytest.mark.parametrize("pem", [b"", b"text", b"-----BEGIN CERTIFICATE-----\nAAAA\n"])
def test_a_device_ca_that_is_none_is_an_error(pem):
    with pytest.raises(ValueError, match=r"."):
        DeviceAuthority(pem)


def test_every_refusal_names_the_mend():
    for issued in (STRANGER.device("a"), ROOT.device("a b"), ROOT.issued):
        assert "ask your administrator for a new device certificate" in posture_of(issued).reason


GOOD = ROOT.device("laptop-1").der_chain
SIGNED_PART = x509.load_der_x509_certificate(GOOD[0]).tbs_certificate_bytes


# A negative serial number is warned of by cryptography; the signature over it fails all the same.
@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
@given(st.binary() | st.tuples(st.integers(0, len(GOOD[0]) - 1), st.integers(1, 255)))
def test_any_bytes_are_a_posture(change):
    """Rubbish and changed certificates never raise; what passes says what the CA signed."""
    if isinstance(change, bytes):
        leaf = change
    else:
        place, flip = change
        leaf = bytearray(GOOD[0])
        leaf[place] ^= flip
    posture = DEVICES.assess(DEVICES.read((bytes(leaf), *GOOD[1:])), NOW)
    if posture.enrolled is Fact.PASSED:
        assert x509.load_der_x509_certificate(bytes(leaf)).tbs_certificate_bytes == SIGNED_PART
    else:
        assert posture.enrolled is Fact.FAILED
        assert posture.device_id == ""


def test_an_x509_version_that_does_not_exist_is_a_fault():
    leaf = bytearray(GOOD[0])
    place = leaf.index(bytes.fromhex("a003020102")) + 4
    leaf[place] = 9
    posture = DEVICES.assess(DEVICES.read((bytes(leaf), *GOOD[1:])), NOW)
    assert "cannot be read" in posture.reason


def listening(directory, devices_pem):
    """Set TLS up as the API listener does, with this device CA."""
    certificate, key = ROOT.server("localhost").write_to(directory, "server")
    authority = directory / "device-ca.crt"
    authority.write_bytes(devices_pem)
    return listener_context(
        ListenerTls(
            certificate_file=certificate, private_key_file=key, device_authority_file=authority
        )
    )


@pytest.fixture
def listener(tmp_path):
    return listening(tmp_path, ROOT.pem)


def chain_over_tls(listener, directory, issued):
    """Shake hands for real and return the chain that the listener verified."""
    client = ssl.create_default_context(cadata=ROOT.pem.decode())
    client.load_cert_chain(*issued.write_to(directory, "client"))
    here, there = socket.socketpair()

    def connect():
        # The listener is gone by then; OpenSSL 3.5 says so when it is read from.
        with (
            client.wrap_socket(there, server_hostname="localhost") as connection,
            contextlib.suppress(OSError),
        ):
            connection.recv(1)

    thread = threading.Thread(target=connect)
    thread.start()
    try:
        with listener.wrap_socket(here, server_side=True) as connection:
            return verified_chain(connection)
    finally:
        thread.join()


def test_the_chain_that_tls_verified_is_read(listener, tmp_path):
    issued = ROOT.intermediate("one").device("laptop-1")
    chain = chain_over_tls(listener, tmp_path, issued)
    assert chain[0] == issued.certificate.public_bytes(Encoding.DER)
    assert DEVICES.assess(DEVICES.read(chain), NOW).device_id == "laptop-1"


def test_an_expired_certificate_comes_through_tls_and_is_refused_here(listener, tmp_path):
    """So that the user is told, instead of a broken handshake."""
    past = {
        "not_before": datetime(2024, 1, 1, tzinfo=UTC),
        "not_after": datetime(2024, 2, 1, tzinfo=UTC),
    }
    issued = ROOT.issue(common_names=["laptop-1"], **past)
    chain = chain_over_tls(listener, tmp_path, issued)
    posture = DEVICES.assess(DEVICES.read(chain), NOW)
    assert posture.enrolled is Fact.FAILED
    assert "expired at 2024-02-01T00:00:00Z" in posture.reason


DAY = timedelta(days=1)
ENDED = Authority.root("device CA", not_before=NOW - 900 * DAY, not_after=NOW - DAY)
RENEWED = ENDED.renewed(not_before=NOW - 30 * DAY, not_after=NOW + 900 * DAY)


@pytest.mark.parametrize("bundle", [(ENDED, RENEWED), (RENEWED, ENDED)])
def test_a_renewed_authority_holds_beside_its_predecessor_that_has_ended(bundle, tmp_path):
    """OpenSSL does not look at the time, and takes whichever comes first."""
    pem = b"".join(authority.pem for authority in bundle)
    devices = DeviceAuthority(pem)
    issued = RENEWED.device("laptop-1")
    for chain in (
        chain_over_tls(listening(tmp_path, pem), tmp_path, issued),
        issued.der_chain[:1],
        ENDED.device("laptop-1").der_chain,
    ):
        posture = devices.assess(devices.read(chain), NOW)
        assert (posture.enrolled, posture.device_id) == (Fact.PASSED, "laptop-1")
        assert posture.vouched_by == hashlib.sha256(RENEWED.issued.der_chain[0]).hexdigest()
        assert posture.expires_at == NOW + 900 * DAY


def test_a_renewed_authority_that_is_not_valid_yet_does_not_end_its_predecessor():
    before = Authority.root("device CA", not_before=NOW - 900 * DAY, not_after=NOW + 30 * DAY)
    after = before.renewed(not_before=NOW + DAY, not_after=NOW + 900 * DAY)
    issued = before.device("laptop-1")
    for pem in (before.pem + after.pem, after.pem + before.pem):
        devices = DeviceAuthority(pem)
        for days, enrolled in ((-901, False), (-1, True), (2, True), (31, True), (901, False)):
            posture = posture_of(issued, now=NOW + days * DAY, devices=devices)
            assert (posture.enrolled is Fact.PASSED) is enrolled


def test_what_lies_between_two_certificates_of_an_authority_is_in_neither():
    after = ENDED.renewed(not_before=NOW + DAY, not_after=NOW + 900 * DAY)
    devices = DeviceAuthority(ENDED.pem + after.pem)
    assert posture_of(ENDED.device("a"), devices=devices).enrolled is Fact.FAILED
    assert posture_of(ENDED.device("a"), NOW + 2 * DAY, devices).enrolled is Fact.PASSED


LATER = {"not_before": NOW - 30 * DAY, "not_after": NOW + 900 * DAY}


@pytest.mark.parametrize(
    "other",
    [
        Authority.root("device CA", **LATER),
        ENDED.renewed(**LATER, name="another CA"),
        ENDED.renewed(**LATER, usages=[ExtendedKeyUsageOID.SERVER_AUTH]),
    ],
    ids=["another key", "another name", "less power"],
)
def test_e7_an_authority_that_has_ended_is_not_held_up_by_one_that_is_not_the_same(other):
    for pem in (ENDED.pem + other.pem, other.pem + ENDED.pem):
        devices = DeviceAuthority(pem)
        posture = posture_of(ENDED.device("a"), devices=devices)
        assert posture.enrolled is Fact.FAILED
        assert "expired" in posture.reason


def test_e7_a_renewed_authority_counts_only_where_it_is_configured():
    """Its holder may show it: with the same key it can sign what it likes about itself."""
    issued = RENEWED.device("a")
    assert posture_of(issued, devices=DeviceAuthority(ENDED.pem)).enrolled is Fact.FAILED


def test_e7_the_devices_of_an_authority_are_not_the_mdms_because_it_has_been_renewed_there():
    devices = DeviceAuthority(ENDED.pem, RENEWED.pem)
    chain = (*RENEWED.device("a").der_chain[:1], ENDED.issued.der_chain[0])
    posture = devices.assess(devices.read(chain), NOW)
    assert posture.enrolled is Fact.FAILED
    assert posture.managed is Fact.UNKNOWN


MDM = Authority.root("MDM root")
BOTH = DeviceAuthority(ROOT.pem, MDM.pem)


def test_a_device_of_the_mdm_is_managed():
    posture = posture_of(MDM.issue(common_names=["C02XL0"]), devices=BOTH)
    assert posture.enrolled is Fact.PASSED
    assert posture.device_id == "C02XL0"
    assert posture.managed is Fact.PASSED
    assert posture.vouched_by in BOTH.managed
    assert posture_of(ROOT.device("laptop-1"), devices=BOTH).managed is Fact.UNKNOWN


def test_the_mdm_alone_may_vouch_for_devices():
    managed_alone = DeviceAuthority(None, MDM.pem)
    assert posture_of(MDM.device("a"), devices=managed_alone).managed is Fact.PASSED
    assert posture_of(ROOT.device("a"), devices=managed_alone).enrolled is Fact.FAILED


def test_a_ca_that_is_the_mdms_and_our_own_is_an_error():
    with pytest.raises(ValueError, match="in both"):
        DeviceAuthority(ROOT.pem + MDM.pem, MDM.pem)


def test_e7_a_certificate_that_names_a_device_and_a_client_is_neither():
    names = [uri("urn:kzproxy:device:a"), uri("urn:kzproxy:client:b")]
    posture = posture_of(ROOT.issue(common_names=["a"], alternative_names=names))
    assert posture.enrolled is Fact.FAILED
    assert "a client that is none" in posture.reason


def test_e7_a_clients_common_name_does_not_make_it_a_device():
    issued = ROOT.issue(common_names=["a"], alternative_names=[uri("URN:kzproxy:CLIENT:b")])
    posture = posture_of(issued)
    assert posture.enrolled is Fact.UNKNOWN
    assert posture.device_id == ""


def test_renewed_certificates_of_a_key_have_its_thumbprint():
    issued = ROOT.device("a")
    assert posture_of(issued).key_thumbprint == key_thumbprint(issued.key.public_key())
    assert posture_of(STRANGER.device("a")).key_thumbprint != ""

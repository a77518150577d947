"""What kzproxy's own authority issues, and with what it begins."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.attributes.device import Fact
from kzproxy.devices.device_certificate import DeviceAuthority
from kzproxy.devices.issuing import CertificateIssuer
from kzproxy.devices.names import ClientName, DeviceName, key_thumbprint
from kzproxy.devices.serial_numbers import mark_of_key, mark_of_serial
from kzproxy.errors.kinds import ServiceUnavailable
from tests.servers.authority import NOT_AFTER, NOT_BEFORE, Authority

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
ROOT = Authority.root("device root")
ISSUER = CertificateIssuer(ROOT.pem, ROOT.issued.key_pem)
KEY = ec.generate_private_key(ec.SECP256R1()).public_key()
LAPTOP = DeviceName(device_id="laptop-1")
DEVICES = DeviceAuthority(ROOT.pem)


def read(issued):
    return x509.load_pem_x509_certificates(issued.pem.encode())


def posture_of(issued, now=NOW, devices=DEVICES):
    chain = tuple(certificate.public_bytes(Encoding.DER) for certificate in read(issued))
    return devices.assess(devices.read(chain), now)


def test_a_certificate_names_its_device_and_nothing_else():
    issued = ISSUER.issue(KEY, LAPTOP, now=NOW)
    (certificate,) = read(issued)
    assert certificate.public_key() == KEY
    assert list(certificate.subject) == []
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert names.critical
    assert list(names.value) == [x509.UniformResourceIdentifier("urn:kzproxy:device:laptop-1")]
    assert issued.uri == "urn:kzproxy:device:laptop-1"
    assert issued.thumbprint == hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()
    assert int(issued.serial, 16) == certificate.serial_number


def test_a_certificate_can_sign_a_handshake_and_nothing_else():
    (certificate,) = read(ISSUER.issue(KEY, LAPTOP, now=NOW))
    extensions = certificate.extensions
    assert extensions.get_extension_for_class(x509.BasicConstraints).value.ca is False
    usage = extensions.get_extension_for_class(x509.KeyUsage)
    assert usage.critical
    assert usage.value.digital_signature
    assert not usage.value.key_cert_sign
    assert not usage.value.key_agreement
    purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(purposes) == [ExtendedKeyUsageOID.CLIENT_AUTH]


def test_a_certificate_is_taken_by_a_strict_verifier():
    (certificate,) = read(ISSUER.issue(KEY, LAPTOP, now=NOW))
    store = Store([ROOT.issued.certificate])
    verified = PolicyBuilder().store(store).time(NOW).build_client_verifier()
    assert verified.verify(certificate, []).subjects == [
        x509.UniformResourceIdentifier("urn:kzproxy:device:laptop-1")
    ]


def test_a_device_certificate_is_read_as_that_device():
    posture = posture_of(ISSUER.issue(KEY, LAPTOP, now=NOW))
    assert posture.enrolled is Fact.PASSED
    assert posture.device_id == "laptop-1"
    assert posture.key_thumbprint == key_thumbprint(KEY)
    assert posture.managed is Fact.UNKNOWN


def test_a_client_certificate_is_no_device_and_says_how_to_become_one():
    thumbprint = key_thumbprint(KEY)
    issued = ISSUER.issue(KEY, ClientName.of_key(thumbprint), now=NOW)
    assert issued.uri == f"urn:kzproxy:client:{thumbprint[:32]}"
    posture = posture_of(issued)
    assert posture.enrolled is Fact.UNKNOWN
    assert posture.device_id == ""
    assert posture.vouched_by == ""
    assert posture.thumbprint == issued.thumbprint
    assert posture.key_thumbprint == thumbprint
    assert "`kzproxy device enroll`" in posture.reason
    assert posture.expires_at == issued.not_after


def test_a_client_certificate_that_has_ended_says_how_to_get_another():
    issued = ISSUER.issue(KEY, ClientName.of_key(key_thumbprint(KEY)), now=NOW)
    posture = posture_of(issued, issued.not_after + timedelta(seconds=1))
    assert posture.enrolled is Fact.FAILED
    assert posture.reason.startswith("the client certificate expired at ")
    assert "`kzproxy login`" in posture.reason


def test_a_certificate_ends_after_its_lifetime_and_no_later_than_asked():
    whole = ISSUER.issue(KEY, LAPTOP, now=NOW)
    assert whole.not_after == NOW + timedelta(hours=24)
    assert NOW - timedelta(minutes=5) == whole.not_before
    until = NOW + timedelta(hours=1)
    assert ISSUER.issue(KEY, LAPTOP, now=NOW, not_after=until).not_after == until
    beyond = NOW + timedelta(days=9)
    assert ISSUER.issue(KEY, LAPTOP, now=NOW, not_after=beyond).not_after == whole.not_after


def test_a_certificate_never_outlives_its_authority():
    soon = NOW + timedelta(hours=2)
    root = Authority.root("ending", not_after=soon)
    issuer = CertificateIssuer(root.pem, root.issued.key_pem)
    assert issuer.issue(KEY, LAPTOP, now=NOW).not_after == soon
    with pytest.raises(ServiceUnavailable, match="expired; tell whoever runs kzproxy"):
        issuer.issue(KEY, LAPTOP, now=soon)


@pytest.mark.parametrize("ahead", [timedelta(minutes=1), timedelta(days=3)], ids=str)
def test_before_its_authority_begins_no_certificate_is_issued_and_the_clock_is_named(ahead):
    root = Authority.root("to come", not_before=NOW + ahead)
    below = root.intermediate()
    for pem, authority in ((root.pem, root), (below.pem + root.pem, below)):
        issuer = CertificateIssuer(pem, authority.issued.key_pem)
        with pytest.raises(ServiceUnavailable, match="compare its clock"):
            issuer.issue(KEY, LAPTOP, now=NOW)
        with pytest.raises(ValueError, match=r"valid only from 2026-06-.*compare the clocks"):
            issuer.sample(NOW)


def test_a_certificate_does_not_begin_before_its_authority():
    root = Authority.root("new", not_before=NOW)
    issuer = CertificateIssuer(root.pem, root.issued.key_pem)
    assert issuer.issue(KEY, LAPTOP, now=NOW).not_before == NOW


def test_two_certificates_have_two_serial_numbers():
    serials = {ISSUER.issue(KEY, LAPTOP, now=NOW).serial for _ in range(8)}
    assert len(serials) == 8


def test_a_serial_number_tells_whose_key_the_certificate_is_for():
    posture = posture_of(ISSUER.issue(KEY, LAPTOP, now=NOW))
    assert mark_of_serial(posture.serial) == mark_of_key(posture.key_thumbprint) != ""


def test_an_intermediate_authority_sends_its_own_certificate_along():
    below = ROOT.intermediate()
    issuer = CertificateIssuer(below.pem + ROOT.pem, below.issued.key_pem)
    issued = issuer.issue(KEY, LAPTOP, now=NOW)
    assert [certificate.public_bytes(Encoding.PEM) for certificate in read(issued)[1:]] == [
        below.pem
    ]
    assert posture_of(issued).device_id == "laptop-1"


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP384R1()).public_key(),
        ec.generate_private_key(ec.SECP256K1()).public_key(),
        rsa.generate_private_key(65537, 2048).public_key(),
    ],
    ids=["P-384", "secp256k1", "RSA"],
)
def test_no_certificate_is_issued_for_a_key_of_another_kind(key):
    with pytest.raises(ValueError, match="P-256"):
        ISSUER.issue(key, LAPTOP, now=NOW)


def test_a_certificate_that_would_have_ended_is_not_issued():
    with pytest.raises(ValueError, match="ended already"):
        ISSUER.issue(KEY, LAPTOP, now=NOW, not_after=NOW)


def test_an_rsa_authority_serves_too():
    key = rsa.generate_private_key(65537, 2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "rsa root")])
    authority = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(NOT_BEFORE)
        .not_valid_after(NOT_AFTER)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    ).public_bytes(Encoding.PEM)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    issued = CertificateIssuer(authority, pem).issue(KEY, LAPTOP, now=NOW)
    assert posture_of(issued, devices=DeviceAuthority(authority)).device_id == "laptop-1"


def encrypted_key():
    key = ROOT.issued.key
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"x"))


def small_rsa_key():
    key = rsa.generate_private_key(65537, 1024)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    ("certificate", "key", "why"),
    [
        (ROOT.pem, Authority.root("other").issued.key_pem, "not that of the authority"),
        (ROOT.pem, encrypted_key(), "encrypted"),
        (ROOT.pem, small_rsa_key(), "2048"),
        (ROOT.pem, b"", "."),
        (b"", ROOT.issued.key_pem, "."),
        (ROOT.device("a").pem, ROOT.device("a").key_pem, "not an authority"),
    ],
    ids=["another key", "encrypted key", "short RSA key", "no key", "no certificate", "a device"],
)
def test_what_is_no_authority_issues_nothing(certificate, key, why):
    with pytest.raises(ValueError, match=why):
        CertificateIssuer(certificate, key)


@given(st.text())
def test_a_device_name_is_what_a_certificate_can_say(text):
    """Whatever makes a name is read from the certificate as the same name."""
    try:
        name = DeviceName(device_id=text)
    except ValueError:
        return
    assert posture_of(ISSUER.issue(KEY, name, now=NOW)).device_id == text


@given(st.from_regex(r"[A-Za-z0-9._:-]{1,128}", fullmatch=True))
def test_any_name_of_the_allowed_letters_comes_back(device_id):
    name = DeviceName(device_id=device_id)
    assert posture_of(ISSUER.issue(KEY, name, now=NOW)).device_id == device_id


@pytest.mark.parametrize(
    "thumbprint", ["", "0" * 63, "0" * 65, "g" * 64, "A" * 64, "0" * 64 + "\n"]
)
def test_a_client_is_named_by_a_whole_thumbprint_alone(thumbprint):
    with pytest.raises(ValueError, match="64 hex digits"):
        ClientName.of_key(thumbprint)

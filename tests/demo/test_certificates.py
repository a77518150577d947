import socket
import ssl
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID

from kzproxy.attributes.device import Fact
from kzproxy.clock.system import SystemClock
from kzproxy.demo.certificates import CertificateAndKey, CertificateAuthority, Leaf
from kzproxy.devices.device_certificate import DeviceAuthority

DAY = timedelta(days=1)
CLOCK = SystemClock()


@pytest.fixture
def authority() -> CertificateAuthority:
    return CertificateAuthority.create("test authority", validity=DAY, clock=CLOCK)


def test_a_server_is_verified_by_name_and_by_address(
    authority: CertificateAuthority, tmp_path: Path
):
    server = authority.server("localhost", "127.0.0.1", validity=DAY)
    for host in ("localhost", "127.0.0.1"):
        assert handshake(tmp_path, authority, server, host=host) == "verified"
    assert "mismatch" in handshake(tmp_path, authority, server, host="other.example")


def test_a_server_below_an_intermediate_authority_is_verified(
    authority: CertificateAuthority, tmp_path: Path
):
    below = authority.intermediate("intermediate", validity=DAY)
    server = below.server("localhost", validity=DAY)
    assert handshake(tmp_path, authority, server, host="localhost") == "verified"


def test_an_expired_server_is_refused(authority: CertificateAuthority, tmp_path: Path):
    expired = authority.server("localhost", validity=timedelta(seconds=-1))
    assert "expired" in handshake(tmp_path, authority, expired, host="localhost")


def test_a_server_not_yet_valid_is_refused(authority: CertificateAuthority, tmp_path: Path):
    early = authority.issue(
        Leaf(
            common_name="localhost",
            hosts=("localhost",),
            usages=(ExtendedKeyUsageOID.SERVER_AUTH,),
            begins_in=timedelta(hours=1),
            validity=DAY,
        )
    )
    assert "not yet valid" in handshake(tmp_path, authority, early, host="localhost")


def test_a_client_certificate_does_not_serve_as_a_servers(
    authority: CertificateAuthority, tmp_path: Path
):
    client = authority.client("localhost", validity=DAY)
    assert "unsuitable" in handshake(tmp_path, authority, client, host="localhost")


def test_another_authority_of_the_same_name_is_not_believed(
    authority: CertificateAuthority, tmp_path: Path
):
    other = CertificateAuthority.create("test authority", validity=DAY, clock=CLOCK)
    server = other.server("localhost", validity=DAY)
    assert "verify failed" in handshake(tmp_path, authority, server, host="localhost")


def test_a_client_is_a_user_in_groups(authority: CertificateAuthority):
    made = authority.client("alice", "staff", "admins", validity=DAY)
    certificate = x509.load_pem_x509_certificate(made.certificate_pem)
    assert certificate.subject.rfc4514_string() == "CN=alice,O=admins,O=staff"


def test_a_device_is_read_by_kzproxy(authority: CertificateAuthority):
    device = authority.device("laptop-1", validity=DAY)
    chain = tuple(
        each.public_bytes(Encoding.DER)
        for each in x509.load_pem_x509_certificates(device.certificate_pem)
    )
    reader = DeviceAuthority(authority.certificate_pem)
    posture = reader.assess(reader.read(chain), CLOCK.now())
    assert (posture.enrolled, posture.device_id) == (Fact.PASSED, "laptop-1")


def test_a_key_file_is_its_owners_alone_and_never_printed(
    authority: CertificateAuthority, tmp_path: Path
):
    key = tmp_path / "tls.key"
    key.touch(mode=0o644)
    made = authority.server("localhost", validity=DAY)
    made.write(tmp_path / "tls.crt", key)
    assert key.stat().st_mode & 0o777 == 0o600
    assert "PRIVATE" not in repr(made)


def test_an_authority_can_be_kept(authority: CertificateAuthority, tmp_path: Path):
    again = CertificateAuthority.load(authority.files, clock=CLOCK)
    server = again.server("localhost", validity=DAY)
    assert handshake(tmp_path, authority, server, host="localhost") == "verified"


def handshake(
    directory: Path, trusted: CertificateAuthority, server: CertificateAndKey, *, host: str
) -> str:
    """Let OpenSSL, at its strictest, connect to ``server``, and return its verdict."""
    server.write(directory / "tls.crt", directory / "tls.key")
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    serving.load_cert_chain(directory / "tls.crt", directory / "tls.key")
    connecting = ssl.create_default_context(cadata=trusted.certificate_pem.decode())
    connecting.verify_flags |= ssl.VERIFY_X509_STRICT
    near, far = socket.socketpair()
    accepting = threading.Thread(target=_accept, args=(serving, far))
    accepting.start()
    try:
        with near, connecting.wrap_socket(near, server_hostname=host):
            return "verified"
    except ssl.SSLCertVerificationError as refusal:
        return str(refusal)
    finally:
        accepting.join(timeout=5)


def _accept(context: ssl.SSLContext, sock: socket.socket) -> None:
    with sock:
        try:
            context.wrap_socket(sock, server_side=True).close()
        except (ssl.SSLError, OSError):
            return

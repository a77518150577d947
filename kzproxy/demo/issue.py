"""The demo's certificates: one authority for servers, one for devices, new at each start."""

from datetime import timedelta

from kzproxy.clock.system import Clock
from kzproxy.demo.certificates import CertificateAuthority
from kzproxy.demo.directory import DemoDirectory
from kzproxy.demo.loopback_ports import LOOPBACK

DEVICE_ID = "demo-laptop"
VALIDITY = timedelta(days=30)


def issue_certificates(directory: DemoDirectory, clock: Clock) -> None:
    """Write authorities, the servers' certificate and the one enrolled device's.

    The authorities' keys are not kept: nothing more can be signed in their name.
    """
    servers = CertificateAuthority.create("kzproxy demo CA", validity=VALIDITY, clock=clock)
    directory.ca.write_bytes(servers.certificate_pem)
    server = servers.server(LOOPBACK, "localhost", validity=VALIDITY)
    server.write(directory.tls_certificate, directory.tls_key)
    devices = CertificateAuthority.create("kzproxy demo device CA", validity=VALIDITY, clock=clock)
    directory.device_ca.write_bytes(devices.certificate_pem)
    device = devices.device(DEVICE_ID, validity=VALIDITY)
    device.write(directory.device_certificate, directory.device_key)

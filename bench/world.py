"""What is around the proxies: certificates, an issuer's tokens, identities and their devices."""

import base64
import json
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Self

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from bench.policy import PREFIX, groups_of, policy, targets
from kzproxy.clock.system import Clock
from kzproxy.demo.certificates import CertificateAuthority

AUDIENCE = "kubernetes"
SERVER_NAME = "localhost"
IDENTITIES = 200
_VALIDITY = timedelta(days=1)
_KEY_ID = "bench-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A user with a token, on a device with a certificate, at a loopback address of its own.

    Attributes:
        user: The name as it reaches kube-apiserver.
        source: Its address: a limit on connections from one address is not what is measured.
    """

    user: str
    token: str = field(repr=False)
    certificate: Path
    key: Path
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """Files in a directory, and who uses them."""

    directory: Path
    issuer_url: str
    jwks: bytes
    identities: tuple[Identity, ...]
    targets: tuple[str, ...]
    upstream_token: str = field(repr=False)

    @classmethod
    def make(cls, directory: Path, issuer_url: str, clock: Clock) -> Self:
        """Write everything into ``directory``."""
        devices = CertificateAuthority.create("bench devices", validity=_VALIDITY, clock=clock)
        servers = CertificateAuthority.create("bench servers", validity=_VALIDITY, clock=clock)
        (directory / "device-ca.crt").write_bytes(devices.certificate_pem)
        (directory / "ca.crt").write_bytes(servers.certificate_pem)
        for name in ("proxy", "upstream", "issuer"):
            issued = servers.server(SERVER_NAME, "127.0.0.1", validity=_VALIDITY)
            issued.write(directory / f"{name}.crt", directory / f"{name}.key")
        (directory / "policy.yaml").write_text(json.dumps(policy(), indent=1))
        (directory / "upstream.token").write_text("the-account-of-kzproxy")
        signer = _Signer(issuer_url)
        now = int(clock.now().timestamp())
        return cls(
            directory=directory,
            issuer_url=issuer_url,
            jwks=signer.jwks,
            identities=tuple(
                _identity(number, directory, devices, signer, now) for number in range(IDENTITIES)
            ),
            targets=tuple(targets()),
            upstream_token="the-account-of-kzproxy",  # noqa: S106 - of our own upstream
        )

    @property
    def authority(self) -> Path:
        """The CA of all servers."""
        return self.directory / "ca.crt"


class _Signer:
    """Signs as identity providers do by default: RS256 with 2048 bits."""

    def __init__(self, issuer_url: str) -> None:
        self._issuer_url = issuer_url
        self._key = rsa.generate_private_key(65537, 2048)

    @property
    def jwks(self) -> bytes:
        numbers = self._key.public_key().public_numbers()
        members = {"kty": "RSA", "kid": _KEY_ID, "use": "sig", "alg": "RS256"}
        modulus, exponent = _base64url(numbers.n.to_bytes(256)), _base64url(numbers.e.to_bytes(3))
        return json.dumps({"keys": [{**members, "n": modulus, "e": exponent}]}).encode()

    def token(self, number: int, now: int) -> str:
        claims = {
            "iss": self._issuer_url,
            "aud": AUDIENCE,
            "sub": f"user-{number:04}",
            "uid": f"1b2c3d4e-0000-4000-8000-{number:012}",
            "email": f"user-{number:04}@example.com",
            "email_verified": True,
            "groups": groups_of(number),
            "iat": now,
            "exp": now + int(_VALIDITY.total_seconds()),
            "jti": f"9f8e7d6c-0000-4000-8000-{number:012}",
        }
        header = {"alg": "RS256", "kid": _KEY_ID, "typ": "JWT"}
        signed = f"{_base64url(_json(header))}.{_base64url(_json(claims))}"
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{_base64url(signature)}"


def _identity(
    number: int, directory: Path, devices: CertificateAuthority, signer: _Signer, now: int
) -> Identity:
    certificate = directory / f"device-{number:04}.crt"
    key = directory / f"device-{number:04}.key"
    devices.device(f"laptop-{number:04}", validity=_VALIDITY).write(certificate, key)
    return Identity(
        user=f"{PREFIX}user-{number:04}",
        token=signer.token(number, now),
        certificate=certificate,
        key=key,
        source=f"127.1.{number // 250}.{number % 250 + 1}",
    )


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

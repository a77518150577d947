"""The report of a machine's posture, signed with its key: a JWS (RFC 7515) over a nonce."""

import base64
import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Protocol

from kzproxy.client.posture.collector import Collector
from kzproxy.client.posture.finding import Finding, Posture
from kzproxy.client.posture.linux import linux_collector
from kzproxy.client.posture.other import OtherCollector
from kzproxy.clock.system import Clock, SystemClock

REPORT_TYPE = "kzproxy-posture+jwt"
SCHEMA = "kzproxy.posture/v1"


class SigningKey(Protocol):
    """The key of this client: in a file, or in hardware that never gives it away."""

    @property
    def public(self) -> bytes:
        """The public key, DER SubjectPublicKeyInfo."""

    def sign(self, data: bytes) -> bytes:
        """Sign with ES256, in the form of RFC 7518 section 3.4: r and s, 32 bytes each."""


def collector(clock: Clock, root: Path = Path("/")) -> Collector:
    """Return the collector of this operating system.

    Args:
        clock: For ages, and to bound waiting.
        root: ``/`` for this machine; the files below another one are looked at as Linux's.
    """
    if root == Path("/") and sys.platform != "linux":
        return OtherCollector()
    return linux_collector(root, os.environ, clock)


def signed_report(
    key: SigningKey,
    audience: str,
    nonce: str,
    *,
    source: Collector | None = None,
    clock: Clock | None = None,
) -> str:
    """Collect this machine's posture and sign it, within two seconds.

    Args:
        key: Of this client at this server.
        audience: The server's sign-in URL.
        nonce: From it, for this report alone.
        source: What collects; by default the operating system's.
        clock: By default the machine's.
    """
    clock = clock or SystemClock()
    posture = (source or collector(clock)).collect()
    header = {"typ": REPORT_TYPE, "alg": "ES256", "kid": _unpadded(_thumbprint(key))}
    at = clock.now()
    claims = {
        "aud": audience,
        "nonce": nonce,
        "iat": int(at.timestamp()),
        "jti": _unpadded(os.urandom(16)),
        "boot_id": posture.boot_id,
        "posture": {"collected_at": f"{at:%Y-%m-%dT%H:%M:%SZ}", **document(posture)},
    }
    signed = f"{_part(header)}.{_part(claims)}"
    return f"{signed}.{_unpadded(key.sign(signed.encode('ascii')))}"


def document(posture: Posture) -> dict[str, object]:
    """Return ``posture`` in the schema's form, without the time."""
    name, version = posture.agent
    return {
        "schema": SCHEMA,
        "agent": {"name": name, "version": version},
        "os": dict(posture.os),
        "hardware": dict(posture.hardware),
        "checks": {
            name: _check(finding) for name, finding in posture.checks.items() if not finding.is_late
        },
    }


def _check(finding: Finding) -> dict[str, object]:
    return {
        "v": finding.value,
        "src": finding.source,
        "why": finding.why,
        **finding.details,
    }


def _thumbprint(key: SigningKey) -> bytes:
    return hashlib.sha256(key.public).digest()


def _part(value: object) -> str:
    return _unpadded(json.dumps(value, separators=(",", ":")).encode("ascii"))


def _unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode("ascii").rstrip("=")

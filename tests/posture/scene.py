"""A device with a key, a store, and what follows it."""

import base64
import json
from datetime import timedelta

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kzproxy.attributes.device import DevicePosture, Fact
from kzproxy.jws.compact import key_id
from kzproxy.posture.book import PostureBook
from kzproxy.posture.intake import PostureIntake
from kzproxy.posture.keeper import PostureKeeper
from kzproxy.posture.metrics import PostureCounts
from kzproxy.posture.record import KeptCheck, PostureRecord
from kzproxy.posture.report import REPORT_TYPE
from kzproxy.posture.settings import PostureSettings
from kzproxy.posture.source import SourceKind
from kzproxy.store.following import Following
from kzproxy.store.nonces import Nonces
from kzproxy.store.sealing import Sealer
from kzproxy.store.sqlite import SqliteStore
from tests.authentication.manual_clock import ManualClock

URL = "https://kzproxy.example.com:8444"
LAPTOP = "laptop-1"
CERTIFICATE = DevicePosture(enrolled=Fact.PASSED, device_id=LAPTOP, thumbprint="t")
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)


class DeviceKey:
    """What the client's side holds."""

    def __init__(self):
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.public_key = self.private.public_key()
        self.public = self.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    def sign(self, data):
        r, s = decode_dss_signature(self.private.sign(data, ec.ECDSA(hashes.SHA256())))
        return r.to_bytes(32, "big") + s.to_bytes(32, "big")

    def jws(self, claims, header=None):
        head = header or {"typ": REPORT_TYPE, "alg": "ES256", "kid": key_id(self.public_key)}
        body = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
        signed = f"{unpadded(json.dumps(head).encode())}.{unpadded(body)}"
        return f"{signed}.{unpadded(self.sign(signed.encode()))}"


def unpadded(data):
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def claims(clock, nonce="n", **changes):
    """Return what a report of a good laptop says."""
    posture = {
        "schema": "kzproxy.posture/v1",
        "os": {"platform": "linux", "id": "ubuntu", "version": "24.04"},
        "hardware": {"machine": "m-1", "model": "X1"},
        "checks": {
            "disk_encrypted": {"v": True, "src": "os"},
            "firewall": {"v": True, "src": "os"},
        },
    }
    return {
        "aud": URL,
        "nonce": nonce,
        "iat": int(clock.now().timestamp()),
        "posture": {**posture, **changes},
    }


class Events:
    """Stands in for the decision log, which is another room's."""

    def __init__(self):
        self.written = []

    async def record_event(self, event):
        self.written.append(event)


class Scene:
    """Everything of the room, over a real store."""

    def __init__(self, store, clock, settings=None):
        self.store, self.clock = store, clock
        self.following = Following(store, clock)
        self.book = PostureBook(self.following, clock, settings or PostureSettings())
        self.told = []
        self.book.on_change(self.told.append)
        self.events, self.counts = Events(), PostureCounts()
        self.keeper = PostureKeeper(self.following, self.book, self.events, self.counts, clock)
        self.nonces = Nonces(store, Sealer([bytes(32)]), clock)
        self.key = DeviceKey()
        self.intake = PostureIntake(
            audience=URL, nonces=self.nonces, book=self.book, keeper=self.keeper, clock=clock
        )

    async def take(self, report=None, **changes):
        """Send a report, by default a good one; return what the device is told."""
        if report is None:
            report = self.key.jws(claims(self.clock, self.nonces.new(), **changes))
        return await self.intake.take(report, self.key.public_key, device_id=LAPTOP, session="s-1")

    def facts(self):
        """Return what is known of the laptop's checks now."""
        stated = self.book.stated(CERTIFICATE)
        return {name: result.fact for name, result in stated.checks}


def record(source="mdm", kind=SourceKind.MDM, *, clock=None, device=LAPTOP, os="", **facts):
    """Return what a source says."""
    return PostureRecord(
        device_id=device,
        source=source,
        kind=kind,
        observed_at=(clock or ManualClock()).now(),
        checks={name: KeptCheck(fact=fact) for name, fact in facts.items()},
        os=os,
    )


def opened(path, clock):
    return SqliteStore.open(path / "kzproxy.db", clock)

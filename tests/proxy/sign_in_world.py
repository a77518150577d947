"""People who sign in at a real kzproxy, with the demo identity provider behind it."""

import asyncio
import base64
import hashlib
import ipaddress
import itertools
import re
import secrets
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit

import httpx
import yaml
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from kzproxy.clock.system import SystemClock
from kzproxy.demo.certificate_parts import key_pem, signed, subject, unsigned
from kzproxy.demo.identity_provider import IdentityProvider, running_identity_provider
from kzproxy.demo.idp_clients import Client
from kzproxy.demo.idp_settings import IdentityProviderSettings, SigningAlgorithm
from kzproxy.demo.page_forms import forms
from tests.proxy.process import ProxyProcess, free_ports, running_proxy
from tests.proxy.raw_client import Answer, RawClient
from tests.proxy.world import request
from tests.servers.authority import Authority

SECRET = "a client secret"
CLIENT_ID = "kzproxy-cli"
REDIRECT_URI = "http://127.0.0.1:39111/callback"
DEVICE_CODE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
_REFRESH = re.compile(r'<meta http-equiv="refresh" content="0; url=([^"]*)"')
_MAX_STEPS = 12


@dataclass
class SignInWorld:
    """A kzproxy that people sign in at, and what is around it.

    Attributes:
        partner: Another identity provider, where there is one.
    """

    directory: Path
    authority: Authority
    devices: Authority
    idp: IdentityProvider
    proxy: ProxyProcess
    url: str
    partner: str = ""
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def ca_file(self) -> Path:
        return self.directory / "ca.crt"

    def machine(self, address: str = "") -> "Machine":
        """Return another client, with a key of its own, and an address unless one is given."""
        return Machine(world=self, address=address or self._another_address())

    def browser(self, address: str = "") -> "Browser":
        """Return another browser, which has a loopback address of its own unless one is given."""
        return Browser(world=self, address=address or self._another_address())

    def _another_address(self) -> str:
        """Return one that nobody has: a limit per address must not depend on how fast tests are."""
        return str(ipaddress.IPv4Address("127.64.0.0") + next(self._numbers))

    def get(self, path: str, **options: Any) -> httpx.Response:
        with self.http() as http:
            return http.get(f"{self.url}{path}", **options)

    def http(self, context: ssl.SSLContext | None = None, address: str = "") -> httpx.Client:
        context = context or ssl.create_default_context(cafile=self.ca_file)
        transport = httpx.HTTPTransport(verify=context, local_address=address or None, retries=0)
        return httpx.Client(transport=transport, timeout=30)

    def events(self, name: str) -> list[dict[str, Any]]:
        """Return the records of an event."""
        return [one for one in self.proxy.records() if one.get("event") == name]


@dataclass
class Browser:
    """A browser with cookies, and somebody who presses buttons in it."""

    world: SignInWorld
    address: str = ""
    pages: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.http = self.world.http(address=self.address)

    def __enter__(self) -> "Browser":
        return self

    def __exit__(self, *_: object) -> None:
        self.http.close()

    def get(self, url: str) -> httpx.Response:
        return self.http.get(urljoin(self.world.url, url))

    def submit(self, page: httpx.Response, **fields: str) -> httpx.Response:
        """Send the first form of a page, with fields filled in."""
        form = forms(page.text)[0]
        return self.http.post(urljoin(str(page.url), form.action), data=form.fields | fields)

    def walk(self, url: str, user: str = "operator") -> str | httpx.Response:
        """Sign in as ``user``: return the address outside that is reached, else the last page."""
        return self.onward(self.get(url), user)

    def onward(self, response: httpx.Response, user: str = "operator") -> str | httpx.Response:
        places = (self.world.url, self.world.idp.issuer, self.world.partner)
        ours = {urlsplit(each).netloc for each in places}
        for _ in range(_MAX_STEPS):
            self.pages.append(response.text)
            target = next_place(response)
            if target:
                if urlsplit(target).netloc not in ours:
                    return target
                response = self.http.get(target)
            elif any(("user", user) in form.buttons for form in forms(response.text)):
                response = self.submit(response, user=user)
            else:
                return response
        raise AssertionError(f"no end: {response.url}")


def next_place(response: httpx.Response) -> str:
    """Return where a response leads by itself; empty where nowhere."""
    if response.is_redirect:
        return urljoin(str(response.url), response.headers["location"])
    found = _REFRESH.search(response.text)
    return urljoin(str(response.url), unescape(found[1])) if found else ""


@dataclass
class Machine:
    """A client: a key, what was certified of it, and what it has of a session."""

    world: SignInWorld
    address: str = ""
    key: ec.EllipticCurvePrivateKey = field(
        default_factory=lambda: ec.generate_private_key(ec.SECP256R1())
    )
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48))
    state: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    certificate: str = ""
    answer: dict[str, Any] = field(default_factory=dict)

    @property
    def csr(self) -> str:
        builder = x509.CertificateSigningRequestBuilder().subject_name(subject(["whoever"]))
        return builder.sign(self.key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()

    @property
    def thumbprint(self) -> str:
        """Of the certificate."""
        certificate = x509.load_pem_x509_certificate(self.certificate.encode())
        return certificate.fingerprint(hashes.SHA256()).hex()

    @property
    def key_thumbprint(self) -> str:
        form = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return hashlib.sha256(self.key.public_key().public_bytes(*form)).hexdigest()

    @property
    def token(self) -> str:
        return str(self.answer["access_token"])

    @property
    def renewal(self) -> str:
        return str(self.answer["refresh_token"])

    @property
    def session(self) -> str:
        return str(self.answer["session_id"])

    @property
    def challenge(self) -> str:
        digest = hashlib.sha256(self.verifier.encode()).digest()
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()

    def authorization(self, **changes: str | None) -> str:
        """Return where the browser begins; None leaves a parameter out."""
        usual: dict[str, str | None] = {
            "client_id": CLIENT_ID,
            "response_type": "code",
            "redirect_uri": REDIRECT_URI,
            "state": self.state,
            "code_challenge": self.challenge,
            "code_challenge_method": "S256",
        }
        given = {name: value for name, value in (usual | changes).items() if value is not None}
        return str(httpx.URL(f"{self.world.url}/authorize", params=given))

    def code(self, user: str = "operator", **changes: str | None) -> str:
        """Sign in in a browser; return the code that the client gets."""
        with self.world.browser() as browser:
            end = browser.walk(self.authorization(**changes), user)
        assert isinstance(end, str), end.text
        query = dict(parse_qsl(urlsplit(end).query))
        assert end.startswith(f"{REDIRECT_URI}?")
        assert query["state"] == self.state
        assert query["iss"] == self.world.url
        return query["code"]

    def post(self, path: str, form: dict[str, str], *, shown: bool = False) -> httpx.Response:
        """Post as this client; ``shown`` with its certificate."""
        with self.http(shown=shown) as http:
            return http.post(f"{self.world.url}{path}", data={"client_id": CLIENT_ID} | form)

    def http(self, *, shown: bool) -> httpx.Client:
        context = ssl.create_default_context(cafile=self.world.ca_file)
        if shown:
            certificate, key = self.files()
            context.load_cert_chain(certificate, key)
        return self.world.http(context, self.address)

    def redeem(self, code: str, /, **changes: str) -> httpx.Response:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": REDIRECT_URI,
            "code_verifier": self.verifier,
            "csr": self.csr,
        }
        return self.post("/token", form | changes)

    def signed_in(self, user: str = "operator", **changes: str | None) -> "Machine":
        """Have a session."""
        return self.take(self.redeem(self.code(user, **changes)))

    def renew(self, token: str = "", *, shown: bool = True, **more: str) -> httpx.Response:
        form = {"grant_type": "refresh_token", "refresh_token": token or self.renewal}
        return self.post("/token", form | more, shown=shown)

    def take(self, response: httpx.Response) -> "Machine":
        """Keep what a good answer gives."""
        assert response.status_code == 200, response.text
        self.answer = response.json()
        self.certificate = self.answer.get("certificate", self.certificate)
        return self

    def files(self) -> tuple[Path, Path]:
        directory = self.world.directory
        certificate = directory / f"{self.key_thumbprint[:16]}.crt"
        key = certificate.with_suffix(".key")
        certificate.write_text(self.certificate)
        key.write_bytes(key_pem(self.key))
        return certificate, key

    def certify(self, *, not_after: datetime, authority: Authority | None = None) -> None:
        """Have a certificate of one's own, for the same key."""
        issuer = (authority or self.world.devices).issued
        name = f"urn:kzproxy:client:{self.key_thumbprint[:32]}"
        builder = unsigned(
            subject(["me"]), self.key, datetime.now(UTC) - timedelta(days=2), not_after
        )
        builder = builder.add_extension(
            x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        ).add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(name)]), critical=False
        )
        made = signed(builder, issuer_name=issuer.certificate.subject, issuer_key=issuer.key)
        self.certificate = made.public_bytes(Encoding.PEM).decode()

    def ask(
        self,
        target: str = "/api/v1/namespaces/default/pods",
        *,
        token: str = "",
        shown: "Machine | None" = None,
        bare: bool = False,
    ) -> Answer:
        """Ask the API listener; with this machine's certificate, or another's, or bare."""
        presented = None if bare else (shown or self).files()
        with RawClient(self.world.proxy.port, self.world.ca_file, certificate=presented) as client:
            return client.ask(request("GET", target, token or self.token))


def error_of(response: httpx.Response) -> tuple[str, str]:
    """Return code and words of a refusal."""
    assert response.status_code >= 400, response.text
    document = response.json()
    return document["error"], document["error_description"]


@contextmanager
def identity_provider_in_thread(
    directory: Path, authority: Authority, callback: str
) -> Iterator[IdentityProvider]:
    """Serve the demo's provider with kzproxy as a confidential client, until the block ends."""
    certificate, key = authority.server("127.0.0.1").write_to(directory, "idp")
    settings = IdentityProviderSettings(
        algorithm=SigningAlgorithm.ES256,
        confidential_clients=(
            Client(
                client_id="kzproxy-server",
                name="kzproxy",
                redirect_uris=(callback,),
                secret=SECRET,
            ),
        ),
    )
    loop = asyncio.new_event_loop()
    ended, ready = asyncio.Event(), threading.Event()
    providers: list[IdentityProvider] = []

    async def serve() -> None:
        async with running_identity_provider(
            settings, SystemClock(), certificate_file=certificate, private_key_file=key
        ) as provider:
            providers.append(provider)
            ready.set()
            await ended.wait()

    def run() -> None:
        asyncio.set_event_loop(loop)
        try:
            loop.run_until_complete(serve())
        finally:
            ready.set()
            loop.close()

    thread = threading.Thread(target=run, name="idp")
    thread.start()
    ready.wait(30)
    try:
        yield providers[0]
    finally:
        loop.call_soon_threadsafe(ended.set)
        thread.join(30)


POLICY: dict[str, Any] = {
    "apiVersion": "kzproxy.dev/v1",
    "kind": "AccessPolicy",
    "metadata": {"name": "sign-in"},
    "rules": [
        {
            "id": "operators-everything",
            "effect": "allow",
            "subjects": {"groups": ["idp:operators"]},
            "match": [
                {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
            ],
        },
        {
            "id": "developers-strongly",
            "effect": "allow",
            "subjects": {"groups": ["idp:developers"]},
            "match": [{"verbs": ["get"], "apiGroups": [""], "resources": ["secrets"]}],
            "obligations": {"mfa": {"classes": ["urn:kzproxy:demo:strong"]}},
        },
        {
            "id": "operators-urls",
            "effect": "allow",
            "subjects": {"groups": ["idp:operators"]},
            "match": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
        },
    ],
}


def sign_in_configuration(
    directory: Path,
    authority: Authority,
    devices: Authority,
    idp: IdentityProvider,
    url: str,
    upstream: dict[str, Any],
) -> dict[str, Any]:
    """Write all files but kzproxy.yaml, and return what goes into that."""
    (directory / "ca.crt").write_bytes(authority.pem)
    authority.server("localhost", "127.0.0.1").write_to(directory, "tls")
    (directory / "device-ca.crt").write_bytes(devices.pem)
    devices.issued.write_to(directory, "issuing")
    made = subprocess.run(
        [sys.executable, "-m", "kzproxy", "store", "new-key"], capture_output=True, check=True
    )
    (directory / "store.keys").write_bytes(made.stdout)
    (directory / "idp.secret").write_text(SECRET)
    (directory / "policy.yaml").write_text(yaml.safe_dump(POLICY))
    (directory / "authentication.yaml").write_text(
        yaml.safe_dump(_authentication(idp.issuer, authority.pem.decode()))
    )
    return {
        "apiVersion": "kzproxy.dev/v1",
        "kind": "ProxyConfiguration",
        "listen": {"certificateFile": "tls.crt", "privateKeyFile": "tls.key"},
        "devices": {
            "certificateAuthorityFile": "device-ca.crt",
            "issuing": {"certificateFile": "issuing.crt", "privateKeyFile": "issuing.key"},
        },
        "upstream": upstream,
        "authenticationFile": "authentication.yaml",
        "policyFiles": ["policy.yaml"],
        "decisionLog": {"file": "decisions.jsonl"},
        "store": {"file": "kept.db", "keysFile": "store.keys"},
        "sessions": {"perUser": 20},
        "signIn": {
            "address": f"127.0.0.1:{urlsplit(url).port}",
            "url": url,
            "providers": [
                {
                    "issuer": idp.issuer,
                    "clientID": "kzproxy-server",
                    "clientSecretFile": "idp.secret",
                }
            ],
        },
        "drainTimeoutSeconds": 5,
    }


def _authentication(issuer: str, ca_pem: str) -> dict[str, Any]:
    return {
        "apiVersion": "apiserver.config.k8s.io/v1",
        "kind": "AuthenticationConfiguration",
        "jwt": [
            {
                "issuer": {
                    "url": issuer,
                    "audiences": ["kubernetes"],
                    "certificateAuthority": ca_pem,
                },
                "claimMappings": {
                    "username": {"claim": "preferred_username", "prefix": "idp:"},
                    "groups": {"claim": "groups", "prefix": "idp:"},
                },
            }
        ],
    }


@contextmanager
def running_sign_in_world(
    directory: Path,
    authority: Authority,
    upstream: dict[str, Any],
    *arguments: str,
    **changes: Any,
) -> Iterator[SignInWorld]:
    """Run all of it; ``changes`` are of kzproxy.yaml, ``arguments`` of ``kzproxy serve``."""
    devices = Authority.root("device CA")
    url = f"https://localhost:{free_ports(1)[0]}"
    with identity_provider_in_thread(directory, authority, f"{url}/callback") as idp:
        settings = sign_in_configuration(directory, authority, devices, idp, url, upstream)
        with running_proxy(directory, settings | changes, *arguments) as proxy:
            yield SignInWorld(directory, authority, devices, idp, proxy, url)

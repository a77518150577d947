"""Sign-ins at kzproxy's own listener, with somebody else's identity provider behind it."""

import asyncio
import base64
import hashlib
import html
import re
import secrets
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from kzproxy.demo.loopback_ports import free_ports
from tests.conformance.test_foreign_provider import press_through
from tests.proxy.world import PREFIX
from tests.servers.authority import Authority
from tests.servers.foreign_idp.process import (
    CONFIDENTIAL_CLIENT_ID,
    CONFIDENTIAL_CLIENT_SECRET,
    ForeignIdp,
    running_foreign_idp,
)

CLIENT = "kzproxy-cli"
_REDIRECT = "http://127.0.0.1:9/callback"  # nobody listens there: the code is read off the address


@dataclass
class SignInPlace:
    """The sign-in listener and the identity provider behind it.

    Attributes:
        url: Of the listener.
        idp: The provider.
        users: Who has an account there, as long as it is not changed.
        authority_file: Of both their certificates.
    """

    url: str
    idp: ForeignIdp
    users: dict[str, dict[str, object]]
    authority_file: Path

    def change_user(self, name: str, claims: Mapping[str, object] | None) -> None:
        """Have the provider say this of somebody; None: they have no account any more."""
        if claims is None:
            del self.users[name]
        else:
            self.users[name] = dict(claims)
        self.idp.change_users(self.users)

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=self.authority_file)


@dataclass(kw_only=True)
class SignedIn:
    """Somebody on a client.

    Attributes:
        key: The client's.
        cookies: What the provider keeps in the browser.
    """

    place: SignInPlace
    user: str
    directory: Path
    key: ec.EllipticCurvePrivateKey
    token: str = field(default="", repr=False)
    renewal: str = field(default="", repr=False)
    session_id: str = ""
    nonce: str = ""
    cookies: httpx.Cookies = field(default_factory=httpx.Cookies, repr=False)

    @property
    def files(self) -> tuple[Path, Path]:
        """The certificate, and its key."""
        return self.directory / f"{self.user}.crt", self.directory / f"{self.user}.key"

    def take(self, answer: Mapping[str, Any]) -> None:
        self.token, self.renewal = answer["access_token"], answer["refresh_token"]
        self.session_id, self.nonce = answer["session_id"], answer["nonce"]
        if "certificate" in answer:
            self.files[0].write_text(answer["certificate"])

    def renew(self, **fields: str) -> dict[str, Any]:
        """Renew the token, as the credential plugin does."""
        context = self.place.trust()
        context.load_cert_chain(*self.files)
        data = {"grant_type": "refresh_token", "refresh_token": self.renewal, "client_id": CLIENT}
        with httpx.Client(verify=context, trust_env=False, timeout=30) as client:
            answered = client.post(f"{self.place.url}/token", data=data | fields)
        answer: dict[str, Any] = answered.json()
        assert answered.status_code == 200, answer
        self.take(answer)
        return answer


@contextmanager
def sign_in_place(
    directory: Path, authority: Authority, users: Mapping[str, Mapping[str, object]]
) -> Iterator[SignInPlace]:
    """Run an identity provider for the block, and choose where kzproxy is to listen."""
    (port,) = free_ports(1)
    url = f"https://localhost:{port}"
    certificate, key = authority.server("localhost").write_to(directory, "idp")
    with running_foreign_idp(
        directory,
        certificate_file=certificate,
        private_key_file=key,
        ca_file=directory / "ca.crt",
        users=users,
        redirect_uris=[f"{url}/callback"],
        backchannel_logout_uri=f"{url}/backchannel_logout",
    ) as idp:
        known = {name: dict(claims) for name, claims in users.items()}
        yield SignInPlace(url, idp, known, directory / "ca.crt")


def add_sign_in(
    settings: dict[str, Any], authentication: dict[str, Any], place: SignInPlace, directory: Path
) -> None:
    """Have kzproxy sign people in there; people's names and groups get the usual prefix.

    The settings have a store, and issue certificates, already.
    """
    (directory / "idp.secret").write_text(CONFIDENTIAL_CLIENT_SECRET)
    port = urlsplit(place.url).port
    provider = {
        "issuer": place.idp.issuer,
        "clientID": CONFIDENTIAL_CLIENT_ID,
        "clientSecretFile": "idp.secret",
    }
    settings["signIn"] = {
        "address": f"127.0.0.1:{port}",
        "url": place.url,
        "providers": [provider],
    }
    authentication["jwt"].append(
        {
            "issuer": {
                "url": place.idp.issuer,
                "audiences": ["kubernetes"],
                "certificateAuthority": place.idp.ca_file.read_text(),
            },
            "claimMappings": {
                "username": {"claim": "sub", "prefix": PREFIX},
                "groups": {"claim": "groups", "prefix": PREFIX},
            },
        }
    )


def sign_in(place: SignInPlace, user: str, directory: Path) -> SignedIn:
    """Sign somebody in as `kzproxy login` does, on a client that has a new key."""
    key = ec.generate_private_key(ec.SECP256R1())
    made = SignedIn(place=place, user=user, directory=directory, key=key)
    made.files[1].write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    asyncio.run(_sign_in(made))
    return made


async def _sign_in(made: SignedIn) -> None:
    place, verifier = made.place, secrets.token_urlsafe(48)
    digest = hashlib.sha256(verifier.encode()).digest()
    asked = {
        "response_type": "code",
        "client_id": CLIENT,
        "redirect_uri": _REDIRECT,
        "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
        "code_challenge_method": "S256",
        "state": secrets.token_urlsafe(16),
    }
    async with httpx.AsyncClient(verify=place.trust(), trust_env=False, timeout=30) as browser:
        begun = await browser.get(f"{place.url}/authorize", params=asked)
        back = await press_through(browser, _led_to(begun), made.user)
        answer = parse_qs(urlsplit(_led_to(await browser.get(back))).query)
        assert answer["state"] == [asked["state"]]
        made.cookies = browser.cookies
        granted = await browser.post(
            f"{place.url}/token",
            data={
                "grant_type": "authorization_code",
                "code": answer["code"][0],
                "redirect_uri": _REDIRECT,
                "client_id": CLIENT,
                "code_verifier": verifier,
                "csr": _request(made.key),
            },
        )
    assert granted.status_code == 200, granted.text
    made.take(granted.json())


def _led_to(answer: httpx.Response) -> str:
    """Return where a browser goes on to, by a redirect or a page that says so."""
    if answer.is_redirect:
        return answer.headers["location"]
    found = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', answer.text)
    assert found, answer.text
    return html.unescape(found[1])


def _request(key: ec.EllipticCurvePrivateKey) -> str:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM).decode()

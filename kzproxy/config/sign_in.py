"""The ``signIn`` section: kzproxy signs people in itself and keeps their sessions."""

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from kzproxy.authentication.provider_settings import ProviderSettings
from kzproxy.authentication.settings import JwtIssuerSettings
from kzproxy.config.addresses import Address, read_address
from kzproxy.config.document import Node
from kzproxy.config.files import named_file
from kzproxy.config.location import DIRECT, ClientAddress, load_client_address
from kzproxy.config.sign_in_providers import load_providers
from kzproxy.transport.tls import ListenerTls


class SignInSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How people sign in.

    Attributes:
        address: The sign-in listener.
        url: How browsers and clients reach it, without a path: the ``iss`` of what it gives.
        tls: What it shows, and whose client certificates it believes.
        providers: Where.
        client_address: Who says what a client's address is.
    """

    address: Address
    url: str
    tls: ListenerTls
    providers: tuple[ProviderSettings, ...]
    client_address: ClientAddress = DIRECT


def load_sign_in(
    node: Node, issuers: Sequence[JwtIssuerSettings], base: Path, api: ListenerTls
) -> SignInSettings:
    """Read the section.

    Args:
        node: The section.
        issuers: Of the authenticationFile.
        base: What file names are relative to.
        api: Of the API listener, which is shown here too where nothing else is named.
    """
    fields = node.mapping(
        required=("address", "providers", "url"),
        optional=("certificateFile", "clientAddress", "privateKeyFile"),
    )
    if ("certificateFile" in fields) is not ("privateKeyFile" in fields):
        node.mistake("set certificateFile and privateKeyFile, or neither: then those of listen are")
    if api.device_authority_file is None:
        node.mistake(
            "needs devices.certificateAuthorityFile: sessions are bound to client certificates"
        )
    client_address = load_client_address(fields.get("clientAddress"))
    if client_address.hops:
        fields["clientAddress"].mistake(
            "sessions are bound to the client's own certificate, which a proxy that ends TLS does"
            " not pass on; use proxyProtocol"
        )
    own = "certificateFile" in fields and "privateKeyFile" in fields
    return SignInSettings(
        address=read_address(fields["address"]),
        url=_url(fields["url"]),
        tls=replace(
            api,
            certificate_file=named_file(fields["certificateFile"], base),
            private_key_file=named_file(fields["privateKeyFile"], base),
        )
        if own
        else api,
        providers=load_providers(fields["providers"], issuers, base),
        client_address=client_address,
    )


def _url(node: Node) -> str:
    url = node.string()
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    plain = f"https://{parts.netloc}"
    if url and (not parts.hostname or url != plain or "@" in url or url != url.lower()):
        node.mistake(
            f"{url!r} must be https://NAME or https://NAME:PORT, in small letters, without a path"
        )
    elif url.endswith(":443"):
        node.mistake(f"{url!r} must leave the port out: browsers do")
    return url

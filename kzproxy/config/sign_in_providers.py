"""``signIn.providers``: the identity providers that kzproxy itself signs people in at."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from kzproxy.authentication.provider_settings import ProviderSettings, Reverify
from kzproxy.authentication.settings import JwtIssuerSettings
from kzproxy.config.document import Node
from kzproxy.config.files import authority_text, file_text

_MAX_SECRET_CHARACTERS = 4096
_OWN_PARAMETERS = frozenset(
    {
        "acr_values",
        "client_id",
        "client_secret",
        "code_challenge",
        "code_challenge_method",
        "login_hint",
        "max_age",
        "nonce",
        "redirect_uri",
        "request",
        "request_uri",
        "response_mode",
        "response_type",
        "scope",
        "state",
    }
)

_CALLBACK = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_PROMPTS = ("", "consent", "login", "select_account")  # not `none`: somebody is to sign in


def load_providers(
    node: Node, issuers: Sequence[JwtIssuerSettings], base: Path
) -> tuple[ProviderSettings, ...]:
    """Read the list.

    Args:
        node: The list.
        issuers: Of the authenticationFile; empty where that could not be read.
        base: What file names are relative to.
    """
    by_url = {issuer.url: issuer for issuer in issuers}
    seen: set[str] = set()
    found = [_provider(item, by_url, seen, base) for item in node.sequence()]
    if not found and node.is_sequence():
        node.mistake("must name at least one provider")
    return _beside_each_other([provider for provider in found if provider is not None])


def _beside_each_other(providers: Sequence[ProviderSettings]) -> tuple[ProviderSettings, ...]:
    callbacks = [provider.callback for provider in providers]
    return tuple(
        replace(provider, shares_callback=callbacks.count(provider.callback) > 1)
        for provider in providers
    )


def _provider(
    node: Node, issuers: dict[str, JwtIssuerSettings], seen: set[str], base: Path
) -> ProviderSettings | None:
    fields = node.mapping(
        required=("issuer", "clientID", "clientSecretFile"),
        optional=("callback", "certificateAuthorityFile", "parameters", "reverify", "scopes"),
    )
    url = fields["issuer"].string()
    if url in seen:
        fields["issuer"].mistake(f"{url} is there twice; keep one")
    seen.add(url)
    if url and issuers and url not in issuers:
        fields["issuer"].mistake(
            "is no issuer of the authenticationFile, whose claim mappings say who somebody is"
        )
    client_id = fields["clientID"].string()
    secret = _secret(fields["clientSecretFile"], base)
    scopes = _scopes(fields["scopes"]) if "scopes" in fields else ()
    authority = fields.get("certificateAuthorityFile")
    pem = "" if authority is None else authority_text(authority, base)
    way = fields["reverify"].choice(tuple(Reverify)) if "reverify" in fields else ""
    issuer = issuers.get(url)
    if issuer is None:
        return None
    return ProviderSettings(
        issuer=issuer,
        client_id=client_id,
        client_secret=secret,
        scopes=scopes,
        certificate_authority_pem=pem,
        reverify=Reverify(way or Reverify.REFRESH),
        parameters=_parameters(fields["parameters"]) if "parameters" in fields else (),
        callback=_callback(fields["callback"]) if "callback" in fields else "",
    )


def _callback(node: Node) -> str:
    name = node.string()
    if name and not _CALLBACK.fullmatch(name):
        node.mistake("must be at most 63 small letters, digits and hyphens")
    return name


def _secret(node: Node, base: Path) -> str:
    text = file_text(node, base).strip()
    if len(text) > _MAX_SECRET_CHARACTERS or not text.isprintable():
        node.mistake(f"must hold one client secret, of at most {_MAX_SECRET_CHARACTERS} characters")
        return ""
    return text


def _parameters(node: Node) -> tuple[tuple[str, str], ...]:
    found = []
    for key, value in node.entries():
        name = key.string()
        if name in _OWN_PARAMETERS:
            key.mistake(f"{name} is set by kzproxy, or has a field of its own")
        found.append((name, value.choice(_PROMPTS) if name == "prompt" else value.string()))
    return tuple(sorted(found))


def _scopes(node: Node) -> tuple[str, ...]:
    scopes = node.strings()
    if any(" " in scope or not scope.isascii() or not scope.isprintable() for scope in scopes):
        node.mistake("a scope is one word; write each as an entry of its own")
    if scopes and "openid" not in scopes:
        node.mistake("must have openid among them: without it no provider says who signed in")
    return tuple(dict.fromkeys(scopes))

"""``AuthenticationConfiguration``: whose tokens are believed, in kube-apiserver's own words.

The fields and rules are those of apiserver.config.k8s.io/v1 (staging/src/k8s.io/apiserver/pkg/apis/
apiserver/validation/validation.go), so that a file which serves kube-apiserver serves kzproxy. What
kzproxy cannot do yet, the CEL expressions, is a mistake and never skipped: a rule that is skipped
lets in whom it was to keep out.
"""

import re
import ssl
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from kzproxy.authentication.names import is_reserved, name_fault
from kzproxy.authentication.settings import (
    ExtraClaim,
    JwtIssuerSettings,
    PrefixedClaim,
    RequiredClaim,
)
from kzproxy.config.document import Mistakes, Node, read_document

API_VERSIONS = ("apiserver.config.k8s.io/v1", "apiserver.config.k8s.io/v1beta1")
KIND = "AuthenticationConfiguration"
MAX_ISSUERS = 64  # as kube-apiserver

_LATER = "CEL expressions come with a later release of kzproxy"

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_EXTRA_KEY = re.compile(rf"(?P<domain>{_LABEL}(\.{_LABEL})*)/[a-z0-9/\-._~%!$&'()*+,;=:]+")
# kzproxy.dev: our own extras say which session and device a request comes from; a token that could
# write them could speak for another session.
_RESERVED_DOMAINS = ("kubernetes.io", "k8s.io", "kzproxy.dev")

_CLAIM_EXPRESSION = re.compile(r"claims\.([A-Za-z_][A-Za-z0-9_]*)")


def load_authentication(path: Path, mistakes: Mistakes) -> tuple[JwtIssuerSettings, ...]:
    """Read the issuers of a file; what is wrong is added to ``mistakes``.

    The result may be used only if there were none.
    """
    fields = read_document(path, mistakes).mapping(
        required=("apiVersion", "kind", "jwt"), optional=("anonymous",)
    )
    fields["apiVersion"].choice(API_VERSIONS)
    fields["kind"].choice((KIND,))
    if "anonymous" in fields:
        _refuse_anonymous(fields["anonymous"])
    issuers = fields["jwt"].sequence()
    if fields["jwt"].is_sequence() and not 1 <= len(issuers) <= MAX_ISSUERS:
        fields["jwt"].mistake(f"must name from 1 to {MAX_ISSUERS} issuers")
    seen = _Seen()
    return tuple(_issuer(node, seen) for node in issuers)


class _Seen:
    """What must not come twice in a file."""

    def __init__(self) -> None:
        self._values: dict[str, set[str]] = {}

    def once(self, node: Node, kind: str, value: str) -> None:
        """Record a mistake at ``node`` where the value was there before."""
        values = self._values.setdefault(kind, set())
        if value and value in values:
            node.mistake(f"{kind} {value} is there twice; keep one")
        values.add(value)


def _refuse_anonymous(node: Node) -> None:
    fields = node.mapping(required=("enabled",), optional=("conditions",))
    if fields["enabled"].boolean():
        fields["enabled"].mistake("must be false: kzproxy lets nobody in without a credential")
    if "conditions" in fields:
        fields["conditions"].mistake("must be left out: kzproxy lets nobody in without credential")


def _issuer(node: Node, seen: _Seen) -> JwtIssuerSettings:
    fields = node.mapping(
        required=("issuer", "claimMappings"),
        optional=("claimValidationRules", "userValidationRules"),
    )
    if "userValidationRules" in fields:
        fields["userValidationRules"].mistake(f"{_LATER}; remove userValidationRules until then")
    issuer = fields["issuer"].mapping(
        required=("url", "audiences"),
        optional=("discoveryURL", "audienceMatchPolicy", "certificateAuthority"),
    )
    mappings = fields["claimMappings"].mapping(
        required=("username",), optional=("groups", "uid", "extra")
    )
    url = _https_url(issuer["url"])
    seen.once(issuer["url"], "issuer", url)
    return JwtIssuerSettings(
        url=url,
        discovery_url=_discovery_url(issuer, url, seen),
        audiences=_audiences(issuer),
        certificate_authority_pem=_certificate_authority(issuer),
        username=_prefixed_claim(mappings["username"]),
        groups=_prefixed_claim(mappings["groups"]) if "groups" in mappings else None,
        uid_claim=_uid_claim(mappings["uid"]) if "uid" in mappings else "",
        extra=_extra(mappings["extra"].sequence()) if "extra" in mappings else (),
        required_claims=_required_claims(fields),
    )


def _https_url(node: Node) -> str:
    text = node.string()
    if text and not _is_plain_https(text):
        node.mistake(
            "must be an https URL without user name, query and fragment,"
            " such as https://idp.example.com/realms/main"
        )
    return text


def _is_plain_https(text: str) -> bool:
    if not text.isascii() or not text.isprintable() or any(mark in text for mark in " @?#\\"):
        return False
    try:
        parts = urlsplit(text)
        return text.startswith("https://") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _discovery_url(issuer: dict[str, Node], url: str, seen: _Seen) -> str:
    if "discoveryURL" not in issuer:
        return ""
    discovery_url = _https_url(issuer["discoveryURL"])
    if url and discovery_url.rstrip("/") == url.rstrip("/"):
        issuer["discoveryURL"].mistake(
            "must be the URL of the discovery document itself, and so differ from url"
        )
    seen.once(issuer["discoveryURL"], "discoveryURL", discovery_url)
    return discovery_url


def _audiences(issuer: dict[str, Node]) -> tuple[str, ...]:
    audiences = issuer["audiences"].strings()
    if len(set(audiences)) != len(audiences):
        issuer["audiences"].mistake("must not name an audience twice")
    if "audienceMatchPolicy" in issuer:
        issuer["audienceMatchPolicy"].choice(("MatchAny",))
    elif len(audiences) > 1:
        issuer["audiences"].mistake(
            "several audiences need audienceMatchPolicy: MatchAny beside them"
        )
    return audiences


def _certificate_authority(issuer: dict[str, Node]) -> str:
    if "certificateAuthority" not in issuer:
        return ""
    pem = issuer["certificateAuthority"].string()
    try:
        ssl.create_default_context(cadata=pem or None)
    except (ssl.SSLError, ValueError, TypeError):
        issuer["certificateAuthority"].mistake(
            "must hold certificates as PEM text, -----BEGIN CERTIFICATE----- and so on;"
            " it is not the name of a file"
        )
    return pem


def _prefixed_claim(node: Node) -> PrefixedClaim:
    fields = node.mapping(optional=("claim", "prefix", "expression"))
    if "expression" in fields:
        _refuse_expression(fields["expression"])
        return PrefixedClaim(claim="", prefix="")
    for name in ("claim", "prefix"):
        if name not in fields:
            node.mistake(f"{name} must be set here" + _PREFIX_HINT[name])
    claim = fields["claim"].string() if "claim" in fields else ""
    return PrefixedClaim(
        claim=claim, prefix=_prefix(fields["prefix"]) if "prefix" in fields else ""
    )


_PREFIX_HINT = {
    "claim": "",
    "prefix": '; prefix: "" says that claims are taken as they are',
}


def _prefix(node: Node) -> str:
    prefix = node.string(may_be_empty=True)
    example = f"{prefix}x"
    fault = name_fault(example)
    if fault:
        node.mistake(f"cannot begin a name: with it a name {fault}")
    elif is_reserved(example):
        node.mistake("must not make `system:` names, which only Kubernetes gives")
    return prefix


def _uid_claim(node: Node) -> str:
    fields = node.mapping(optional=("claim", "expression"))
    if "expression" in fields:
        _refuse_expression(fields["expression"])
    elif "claim" not in fields:
        node.mistake("claim must be set here")
    return fields["claim"].string() if "claim" in fields else ""


def _refuse_expression(node: Node) -> None:
    node.mistake(f"{_LATER}; use claim, and prefix where there is one")


def _extra(nodes: Sequence[Node]) -> tuple[ExtraClaim, ...]:
    seen = _Seen()
    extra = []
    for node in nodes:
        fields = node.mapping(required=("key", "valueExpression"))
        key = _extra_key(fields["key"])
        seen.once(fields["key"], "key", key)
        extra.append(ExtraClaim(key=key, claim=_extra_claim(fields["valueExpression"])))
    return tuple(sorted(extra, key=lambda claim: claim.key))


def _extra_key(node: Node) -> str:
    key = node.string()
    match = _EXTRA_KEY.fullmatch(key)
    if match is None:
        if key:
            node.mistake("must be a lower-case domain and a name: example.com/tenant")
        return key
    domain = match["domain"]
    if any(domain == name or domain.endswith(f".{name}") for name in _RESERVED_DOMAINS):
        node.mistake(f"{', '.join(_RESERVED_DOMAINS)} and what is below them are reserved")
    return key


def _extra_claim(node: Node) -> str:
    expression = node.string()
    match = _CLAIM_EXPRESSION.fullmatch(expression)
    if match is None:
        if expression:
            node.mistake(f"must be of the form claims.NAME; other {_LATER}")
        return ""
    return match[1]


def _required_claims(fields: dict[str, Node]) -> tuple[RequiredClaim, ...]:
    seen = _Seen()
    nodes = fields["claimValidationRules"].sequence() if "claimValidationRules" in fields else []
    return tuple(_required_claim(node, seen) for node in nodes)


def _required_claim(node: Node, seen: _Seen) -> RequiredClaim:
    fields = node.mapping(optional=("claim", "requiredValue", "expression", "message"))
    if "expression" in fields:
        fields["expression"].mistake(f"{_LATER}; use claim and requiredValue")
    elif "claim" not in fields:
        node.mistake("claim must be set here")
    elif "message" in fields:
        fields["message"].mistake("belongs to expression and may not be set beside claim")
    claim = fields["claim"].string() if "claim" in fields else ""
    if "claim" in fields:
        seen.once(fields["claim"], "claim", claim)
    value = fields["requiredValue"].string(may_be_empty=True) if "requiredValue" in fields else ""
    return RequiredClaim(claim=claim, value=value)

"""``AuthenticationConfiguration``: whose tokens are believed, in kube-apiserver's own words.

The fields and rules are those of apiserver.config.k8s.io/v1 (staging/src/k8s.io/apiserver/pkg/apis/
apiserver/validation/validation.go), so that a file which serves kube-apiserver serves kzproxy. What
kzproxy's CEL cannot do is a mistake and never skipped: a rule that is skipped lets in whom it was
to keep out.
"""

import re
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from kzproxy.attributes.identity import SPIFFE_ID_EXTRA
from kzproxy.authentication.expressions import (
    claims_rule,
    claims_value,
    reads_claim,
    selects,
    user_rule,
)
from kzproxy.authentication.names import is_reserved, name_fault
from kzproxy.authentication.settings import (
    ExtraClaim,
    JwtIssuerSettings,
    MappingExpression,
    PrefixedClaim,
    RequiredClaim,
    ValidationRule,
)
from kzproxy.config.document import Mistakes, Node, read_document
from kzproxy.expressions.errors import ExpressionError
from kzproxy.expressions.language import Program

API_VERSIONS = ("apiserver.config.k8s.io/v1", "apiserver.config.k8s.io/v1beta1")
KIND = "AuthenticationConfiguration"
MAX_ISSUERS = 64  # as kube-apiserver

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_EXTRA_KEY = re.compile(rf"(?P<domain>{_LABEL}(\.{_LABEL})*)/[a-z0-9/\-._~%!$&'()*+,;=:]+")
# kzproxy.dev: our own extras say which session and device a request comes from; a token that could
# write them could speak for another session.
_RESERVED_DOMAINS = ("kubernetes.io", "k8s.io", "kzproxy.dev")


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
    issuer = fields["issuer"].mapping(
        required=("url", "audiences"),
        optional=("discoveryURL", "audienceMatchPolicy", "certificateAuthority"),
    )
    mappings = fields["claimMappings"].mapping(
        required=("username",), optional=("groups", "uid", "extra")
    )
    url = _https_url(issuer["url"])
    seen.once(issuer["url"], "issuer", url)
    required_claims, claim_rules = _claim_rules(fields)
    settings = JwtIssuerSettings(
        url=url,
        discovery_url=_discovery_url(issuer, url, seen),
        audiences=_audiences(issuer),
        certificate_authority_pem=_certificate_authority(issuer),
        username=_named_by(mappings["username"]),
        groups=_named_by(mappings["groups"]) if "groups" in mappings else None,
        uid_claim=_uid(mappings, "claim"),
        uid_expression=_uid(mappings, "expression"),
        extra=_extra(mappings["extra"].sequence()) if "extra" in mappings else (),
        required_claims=required_claims,
        claim_rules=claim_rules,
        user_rules=_user_rules(fields),
    )
    _check_email_verified(mappings["username"], settings)
    return settings


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


def _named_by(node: Node) -> PrefixedClaim | MappingExpression:
    fields = node.mapping(optional=("claim", "prefix", "expression"))
    if "expression" in fields:
        for name in ("claim", "prefix"):
            if name in fields:
                fields[name].mistake("may not be set beside expression")
        _compiled(fields["expression"], claims_value)
        return MappingExpression(expression=fields["expression"].string())
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


def _uid(mappings: dict[str, Node], name: str) -> str:
    if "uid" not in mappings:
        return ""
    fields = mappings["uid"].mapping(optional=("claim", "expression"))
    if len(fields) != 1 and name == "claim":
        mappings["uid"].mistake("either claim or expression must be set here")
    if name not in fields:
        return ""
    if name == "expression":
        _compiled(fields[name], claims_value)
    return fields[name].string()


def _compiled(node: Node, compile_it: Callable[[str], Program]) -> None:
    """Compile an expression; what is wrong with it is a mistake at ``node``."""
    text = node.string()
    if not text:
        return
    try:
        compile_it(text)
    except ExpressionError as error:
        node.mistake(f"line {error.line}, column {error.column} of the expression: {error.message}")


def _check_email_verified(node: Node, settings: JwtIssuerSettings) -> None:
    """Demand, as kube-apiserver, that who is named by an address has it verified.

    kube-apiserver looks for ``claims.email`` alone; here ``claims["email"]`` is the same.
    """
    named = _program(settings.username)
    if named is None or not reads_claim(named, "email"):
        return
    others = [_try(claims_value, extra.expression) for extra in settings.extra]
    others += [_try(claims_rule, rule.expression) for rule in settings.claim_rules]
    if not any(one is not None and selects(one, "email_verified") for one in (named, *others)):
        node.mistake(
            "claims.email_verified must be used here, in an extra's valueExpression or in"
            " claimValidationRules, where the user name is made of claims.email"
        )


def _program(mapping: PrefixedClaim | MappingExpression) -> Program | None:
    if isinstance(mapping, MappingExpression):
        return _try(claims_value, mapping.expression)
    return None


def _try(compile_it: Callable[[str], Program], text: str) -> Program | None:
    try:
        return compile_it(text)
    except ExpressionError:  # told where it stands
        return None


def _extra(nodes: Sequence[Node]) -> tuple[ExtraClaim, ...]:
    seen = _Seen()
    extra = []
    for node in nodes:
        fields = node.mapping(required=("key", "valueExpression"))
        key = _extra_key(fields["key"])
        seen.once(fields["key"], "key", key)
        _compiled(fields["valueExpression"], claims_value)
        extra.append(ExtraClaim(key=key, expression=fields["valueExpression"].string()))
    return tuple(sorted(extra, key=lambda claim: claim.key))


def _extra_key(node: Node) -> str:
    key = node.string()
    match = _EXTRA_KEY.fullmatch(key)
    if match is None:
        if key:
            node.mistake("must be a lower-case domain and a name: example.com/tenant")
        return key
    if key == SPIFFE_ID_EXTRA:
        return key
    domain = match["domain"]
    if any(domain == name or domain.endswith(f".{name}") for name in _RESERVED_DOMAINS):
        node.mistake(
            f"{', '.join(_RESERVED_DOMAINS)} and what is below them are reserved"
            f" (but for {SPIFFE_ID_EXTRA})"
        )
    return key


def _claim_rules(
    fields: dict[str, Node],
) -> tuple[tuple[RequiredClaim, ...], tuple[ValidationRule, ...]]:
    seen = _Seen()
    nodes = fields["claimValidationRules"].sequence() if "claimValidationRules" in fields else []
    rules = [_claim_rule(node, seen) for node in nodes]
    return (
        tuple(rule for rule in rules if isinstance(rule, RequiredClaim)),
        tuple(rule for rule in rules if isinstance(rule, ValidationRule)),
    )


def _claim_rule(node: Node, seen: _Seen) -> RequiredClaim | ValidationRule:
    fields = node.mapping(optional=("claim", "requiredValue", "expression", "message"))
    if "expression" in fields:
        for name in ("claim", "requiredValue"):
            if name in fields:
                fields[name].mistake("may not be set beside expression")
        return _validation_rule(fields, claims_rule, seen)
    if "claim" not in fields:
        node.mistake("claim or expression must be set here")
    elif "message" in fields:
        fields["message"].mistake("belongs to expression and may not be set beside claim")
    claim = fields["claim"].string() if "claim" in fields else ""
    if "claim" in fields:
        seen.once(fields["claim"], "claim", claim)
    value = fields["requiredValue"].string(may_be_empty=True) if "requiredValue" in fields else ""
    return RequiredClaim(claim=claim, value=value)


def _user_rules(fields: dict[str, Node]) -> tuple[ValidationRule, ...]:
    seen = _Seen()
    nodes = fields["userValidationRules"].sequence() if "userValidationRules" in fields else []
    rules = [node.mapping(required=("expression",), optional=("message",)) for node in nodes]
    return tuple(_validation_rule(rule, user_rule, seen) for rule in rules)


def _validation_rule(
    fields: dict[str, Node], compile_it: Callable[[str], Program], seen: _Seen
) -> ValidationRule:
    text = fields["expression"].string()
    seen.once(fields["expression"], "expression", text)
    _compiled(fields["expression"], compile_it)
    message = fields["message"].string(may_be_empty=True) if "message" in fields else ""
    return ValidationRule(expression=text, message=message)

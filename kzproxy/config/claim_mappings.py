"""``claimMappings`` of an AuthenticationConfiguration: what a caller is called."""

import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kzproxy.attributes.identity import SPIFFE_ID_EXTRA
from kzproxy.authentication.claim_expressions import claims_rule, claims_value, reads_claim, selects
from kzproxy.authentication.names import is_reserved, name_fault
from kzproxy.authentication.settings import (
    ExtraClaim,
    JwtIssuerSettings,
    MappingExpression,
    PrefixedClaim,
)
from kzproxy.config.claim_rules import Seen, compiled
from kzproxy.config.document import Node
from kzproxy.expressions.errors import ExpressionError

if TYPE_CHECKING:
    from kzproxy.expressions.language import Program

_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
_EXTRA_KEY = re.compile(rf"(?P<domain>{_LABEL}(\.{_LABEL})*)/[a-z0-9/\-._~%!$&'()*+,;=:]+")
# kzproxy.dev: our own extras say which session and device a request comes from; a token that could
# write them could speak for another session.
_RESERVED_DOMAINS = ("kubernetes.io", "k8s.io", "kzproxy.dev")


def named_by(node: Node) -> PrefixedClaim | MappingExpression:
    """Read ``username`` or ``groups``: a claim with its prefix, or an expression."""
    fields = node.mapping(optional=("claim", "prefix", "expression"))
    if "expression" in fields:
        for name in ("claim", "prefix"):
            if name in fields:
                fields[name].mistake("may not be set beside expression")
        compiled(fields["expression"], claims_value)
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


def uid(mappings: dict[str, Node], name: str) -> str:
    """Read ``claim`` or ``expression``, whichever is the ``name``, of ``uid``; empty if not set."""
    if "uid" not in mappings:
        return ""
    fields = mappings["uid"].mapping(optional=("claim", "expression"))
    if len(fields) != 1 and name == "claim":
        mappings["uid"].mistake("either claim or expression must be set here")
    if name not in fields:
        return ""
    if name == "expression":
        compiled(fields[name], claims_value)
    return fields[name].string()


def extra(nodes: Sequence[Node]) -> tuple[ExtraClaim, ...]:
    """Read ``extra``, sorted by key."""
    seen = Seen()
    claims = []
    for node in nodes:
        fields = node.mapping(required=("key", "valueExpression"))
        key = _extra_key(fields["key"])
        seen.once(fields["key"], "key", key)
        compiled(fields["valueExpression"], claims_value)
        claims.append(ExtraClaim(key=key, expression=fields["valueExpression"].string()))
    return tuple(sorted(claims, key=lambda claim: claim.key))


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


def check_email_verified(node: Node, settings: JwtIssuerSettings) -> None:
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


def _program(mapping: PrefixedClaim | MappingExpression) -> "Program | None":
    if isinstance(mapping, MappingExpression):
        return _try(claims_value, mapping.expression)
    return None


def _try(compile_it: Callable[[str], "Program"], text: str) -> "Program | None":
    try:
        return compile_it(text)
    except ExpressionError:  # told where it stands
        return None

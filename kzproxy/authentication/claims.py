"""From verified claims to the subject as Kubernetes will know it.

The mapping is kube-apiserver's (staging/src/k8s.io/apiserver/plugin/pkg/authenticator/token/oidc).
Where that one would take a name which an impersonation header cannot carry unharmed, or which
Kubernetes keeps for itself, the token is refused: claims are never repaired.
"""

import base64
import re
from collections.abc import Mapping
from datetime import datetime

from kzproxy.attributes.identity import Identity
from kzproxy.attributes.spiffe import SERVICE_ACCOUNT_PREFIX
from kzproxy.authentication.mapping import (
    MAX_GROUPS,
    check_claim_rules,
    check_user_rules,
    mapped_extra,
    mapped_names,
    mapped_text,
)
from kzproxy.authentication.names import is_reserved, name_fault
from kzproxy.authentication.settings import (
    JwtIssuerSettings,
    MappingExpression,
    PrefixedClaim,
)
from kzproxy.authentication.validity import VerifiedClaims, numeric_date
from kzproxy.errors.kinds import Unauthenticated
from kzproxy.policy.glob import Names, glob_names

MAX_METHODS = 32
"""Of ``amr``; RFC 8176 names twenty."""

_SERVICE_ACCOUNT = re.compile(SERVICE_ACCOUNT_PREFIX + r"([a-z0-9-]{1,63}):([a-z0-9.-]{1,253})")
_THUMBPRINT = "x5t#S256"
_BASE64URL_SHA256 = re.compile(r"[A-Za-z0-9_-]{43}")


def identity_of(
    claims: VerifiedClaims,
    issuer: JwtIssuerSettings,
    expires_at: datetime,
    *,
    person: VerifiedClaims | None = None,
) -> Identity:
    """Map claims to an identity.

    Args:
        claims: Of a sign-in.
        issuer: Whose they are.
        expires_at: Until when they hold.
        person: What the issuer says elsewhere of whoever has signed in. The issuer's mappings and
            rules are then about these claims alone; None where they are about ``claims``.

    Raises:
        Unauthenticated: A claim is missing, or is not what a name may be.
    """
    named = claims if person is None else person
    _check_required(named, issuer)
    check_claim_rules(named, issuer.claim_rules)
    username = _username(named, issuer.username)
    groups = _groups(named, issuer.groups)
    uid = _uid(named, issuer)
    extra = mapped_extra(named, issuer.extra)
    check_user_rules(issuer, named, username, uid, groups, extra)
    _check_reserved(username, groups, issuer)
    return Identity(
        username=username,
        groups=groups,
        uid=uid,
        extra=extra,
        method="oidc",
        issuer=issuer.url,
        subject=_name(claims, "sub"),
        sign_in=_sign_in(claims),
        expires_at=expires_at,
        confirmation=_confirmation(claims),
        vouched_by=issuer.revision,
        authenticated_at=_moment(claims, "auth_time"),
        authentication_class=_authentication_class(claims),
        authentication_methods=_authentication_methods(claims),
        issued_at=_moment(claims, "iat"),
    )


def changed_groups(claims: VerifiedClaims, issuer: JwtIssuerSettings) -> tuple[str, ...] | None:
    """Map claims of which only some are known to groups, as for a token of ``issuer``.

    Returns:
        None where these claims alone do not say the groups: they are made of others too.

    Raises:
        Unauthenticated: They are not what groups may be.
    """
    mapping = issuer.groups
    if not isinstance(mapping, PrefixedClaim) or issuer.user_rules:
        return None
    if claims.get(mapping.claim) is None:
        return None
    groups = _groups(claims, mapping)
    _check_reserved("", groups, issuer)
    return groups


def _check_required(claims: VerifiedClaims, issuer: JwtIssuerSettings) -> None:
    for required in issuer.required_claims:
        if required.claim not in claims:
            raise Unauthenticated(f"the token has no claim `{required.claim}`, which must be there")
        if claims[required.claim] != required.value:
            raise Unauthenticated(
                f"the token's claim `{required.claim}` is not the string `{required.value}`"
            )


def _username(claims: VerifiedClaims, mapping: PrefixedClaim | MappingExpression) -> str:
    if isinstance(mapping, MappingExpression):
        field = "claimMappings.username"
        return _faultless(mapped_text(claims, mapping.expression, field), f"`{field}`")
    value = _name(claims, mapping.claim)
    if mapping.claim == "email":
        _check_email(claims, value)
    return _mapped(value, mapping, f"claim `{mapping.claim}`")


def _check_email(claims: VerifiedClaims, address: str) -> None:
    # As kube-apiserver: absent is taken, anything but `true` is not (OpenID Connect Core 5.1).
    if claims.get("email_verified", True) is not True:
        raise Unauthenticated(
            "the token's `email` is not verified; verify the address at the issuer"
        )
    # Who owns a@b@c depends on the reader (CVE-2026-40574).
    if address.count("@") != 1 or address[0] == "@" or address[-1] == "@":
        raise Unauthenticated("the token's `email` is not one name at one domain")


def _groups(
    claims: VerifiedClaims, mapping: PrefixedClaim | MappingExpression | None
) -> tuple[str, ...]:
    if mapping is None:
        return ()
    if isinstance(mapping, MappingExpression):
        return mapped_names(claims, mapping.expression, "claimMappings.groups")
    value = claims.get(mapping.claim)
    if value is None:  # not there, or null, which Go reads into a list of none
        _refuse_groups_elsewhere(claims, mapping.claim)
        return ()
    listed = value if isinstance(value, list) else [value]
    if len(listed) > MAX_GROUPS:
        raise Unauthenticated(
            f"the token has more than {MAX_GROUPS} groups in `{mapping.claim}`;"
            " let the issuer send only the groups that matter here"
        )
    return tuple(
        _mapped(_checked(group, place), mapping, place)
        for place, group in (
            (f"claim `{mapping.claim}`, entry {number}", item) for number, item in enumerate(listed)
        )
    )


def _refuse_groups_elsewhere(claims: VerifiedClaims, claim: str) -> None:
    # OpenID Connect Core 1.0 section 5.6.2; Entra does this for members of many groups.
    elsewhere = claims.get("_claim_names")
    if isinstance(elsewhere, Mapping) and claim in elsewhere:
        raise Unauthenticated(
            f"the issuer left `{claim}` out of the token and refers elsewhere for it;"
            " let it send only the groups that matter here"
        )


def _uid(claims: VerifiedClaims, issuer: JwtIssuerSettings) -> str:
    if issuer.uid_expression:
        field = "claimMappings.uid"
        uid = mapped_text(claims, issuer.uid_expression, field)
        return _faultless(uid, f"`{field}`") if uid else ""
    return _name(claims, issuer.uid_claim) if issuer.uid_claim else ""


def _check_reserved(username: str, groups: tuple[str, ...], issuer: JwtIssuerSettings) -> None:
    """Refuse Kubernetes' own names, but for those that kzproxy's configuration gives the issuer."""
    if is_reserved(username) and not _may_name(issuer.reserved.users, username):
        raise _reserved("user name")
    given = Names(issuer.reserved.groups)
    if any(is_reserved(group) and not given.hold(group) for group in groups):
        raise _reserved("group")


def _may_name(patterns: tuple[str, ...], username: str) -> bool:
    account = _SERVICE_ACCOUNT.fullmatch(username)
    return account is not None and any(_may_be(pattern, *account.groups()) for pattern in patterns)


def _may_be(pattern: str, namespace: str, name: str) -> bool:
    # Each part by itself: a `*` must not reach over the parts of such a name.
    namespaces, _, names = pattern.removeprefix(SERVICE_ACCOUNT_PREFIX).partition(":")
    return glob_names(namespaces).hold(namespace) and glob_names(names).hold(name)


def _reserved(what: str) -> Unauthenticated:
    return Unauthenticated(
        f"the token maps its {what} to a `system:` name, which only Kubernetes gives;"
        " set a prefix in claimMappings, or name it for this issuer in `reservedNames`"
    )


def _moment(claims: VerifiedClaims, name: str) -> datetime | None:
    return numeric_date(claims, name) if name in claims else None


def _authentication_class(claims: VerifiedClaims) -> str:
    # What cannot be read says nothing, and a policy that asks for it is not met.
    value = claims.get("acr")
    return value if isinstance(value, str) and not name_fault(value) else ""


def _authentication_methods(claims: VerifiedClaims) -> tuple[str, ...]:
    listed = claims.get("amr")
    if not isinstance(listed, list) or len(listed) > MAX_METHODS:
        return ()
    methods = tuple([item for item in listed if isinstance(item, str) and not name_fault(item)])
    return methods if len(methods) == len(listed) else ()


def _sign_in(claims: VerifiedClaims) -> str:
    if "sid" in claims:
        return _name(claims, "sid")
    if "auth_time" in claims:
        return str(int(numeric_date(claims, "auth_time").timestamp()))
    return ""


def _confirmation(claims: VerifiedClaims) -> str:
    if "cnf" not in claims:
        return ""
    confirmation = claims["cnf"]
    # RFC 7800 section 3.1. A binding that cannot be checked must not be waved through.
    if not isinstance(confirmation, Mapping) or set(confirmation) != {_THUMBPRINT}:
        raise Unauthenticated(
            f"the token's `cnf` binds it to a key in another way than by `{_THUMBPRINT}`"
        )
    return _thumbprint(confirmation[_THUMBPRINT])


def _thumbprint(value: object) -> str:
    if not isinstance(value, str) or not _BASE64URL_SHA256.fullmatch(value):
        raise Unauthenticated(f"the token's `cnf` `{_THUMBPRINT}` is not a SHA-256 thumbprint")
    return base64.urlsafe_b64decode(f"{value}=").hex()


def _mapped(value: str, mapping: PrefixedClaim, place: str) -> str:
    name = mapping.prefix + value
    fault = name_fault(name)
    if fault:
        raise Unauthenticated(f"the token's {place} with its prefix {fault}")
    return name


def _name(claims: VerifiedClaims, claim: str) -> str:
    if claim not in claims:
        raise Unauthenticated(f"the token has no claim `{claim}`")
    return _checked(claims[claim], f"claim `{claim}`")


def _faultless(name: str, place: str) -> str:
    fault = name_fault(name)
    if fault:
        raise Unauthenticated(f"{place} gives a name that {fault}")
    return name


def _checked(value: object, place: str) -> str:
    if not isinstance(value, str):
        raise Unauthenticated(f"the token's {place} is not a string")
    fault = name_fault(value)
    if fault:
        raise Unauthenticated(f"the token's {place} {fault}")
    return value

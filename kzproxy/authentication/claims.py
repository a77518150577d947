"""From verified claims to the subject as Kubernetes will know it.

The mapping is kube-apiserver's (staging/src/k8s.io/apiserver/plugin/pkg/authenticator/token/oidc).
Where that one would take a name which an impersonation header cannot carry unharmed, or which
Kubernetes keeps for itself, the token is refused: claims are never repaired.
"""

import base64
import re
from collections.abc import Mapping
from datetime import datetime

from kzproxy.attributes.identity import ExtraValues, Identity
from kzproxy.authentication.names import is_reserved, name_fault
from kzproxy.authentication.settings import ExtraClaim, JwtIssuerSettings, PrefixedClaim
from kzproxy.authentication.validity import VerifiedClaims, numeric_date
from kzproxy.errors.kinds import Unauthenticated

MAX_GROUPS = 1000
"""Each group is one header line and one authorizer call on every request, and the decision log's
lists end here. Active Directory ends at 1,015 groups a person, Entra puts at most 200 into a token.
More is refused and not cut off: a group left out could be the one that a deny rule names."""

_THUMBPRINT = "x5t#S256"
_BASE64URL_SHA256 = re.compile(r"[A-Za-z0-9_-]{43}")


def identity_of(
    claims: VerifiedClaims, issuer: JwtIssuerSettings, expires_at: datetime
) -> Identity:
    """Map claims to an identity.

    Raises:
        Unauthenticated: A claim is missing, or is not what a name may be.
    """
    _check_required(claims, issuer)
    return Identity(
        username=_username(claims, issuer.username),
        groups=_groups(claims, issuer.groups) if issuer.groups else (),
        uid=_name(claims, issuer.uid_claim) if issuer.uid_claim else "",
        extra=_extra(claims, issuer.extra),
        method="oidc",
        issuer=issuer.url,
        subject=_name(claims, "sub"),
        sign_in=_sign_in(claims),
        expires_at=expires_at,
        confirmation=_confirmation(claims),
        vouched_by=issuer.revision,
    )


def _check_required(claims: VerifiedClaims, issuer: JwtIssuerSettings) -> None:
    for required in issuer.required_claims:
        if required.claim not in claims:
            raise Unauthenticated(f"the token has no claim `{required.claim}`, which must be there")
        if claims[required.claim] != required.value:
            raise Unauthenticated(
                f"the token's claim `{required.claim}` is not the string `{required.value}`"
            )


def _username(claims: VerifiedClaims, mapping: PrefixedClaim) -> str:
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


def _groups(claims: VerifiedClaims, mapping: PrefixedClaim) -> tuple[str, ...]:
    if mapping.claim not in claims:
        _refuse_groups_elsewhere(claims, mapping.claim)
        return ()
    value = claims[mapping.claim]
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


def _extra(claims: VerifiedClaims, mappings: tuple[ExtraClaim, ...]) -> ExtraValues:
    """Map as the CEL form ``claims.NAME`` does: absent is an error, empty leaves the key out."""
    pairs = ((mapping.key, _extra_values(claims, mapping.claim)) for mapping in mappings)
    return tuple((key, values) for key, values in pairs if values)


def _extra_values(claims: VerifiedClaims, claim: str) -> tuple[str, ...]:
    if claim not in claims:
        raise Unauthenticated(f"the token has no claim `{claim}`")
    value = claims[claim]
    if value in (None, "", []):
        return ()
    listed = value if isinstance(value, list) else [value]
    if len(listed) > MAX_GROUPS:
        raise Unauthenticated(f"the token has more than {MAX_GROUPS} values in `{claim}`")
    return tuple(_checked(item, f"claim `{claim}`") for item in listed)


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
    if is_reserved(name):
        raise Unauthenticated(
            f"the token's {place} maps to a `system:` name, which only Kubernetes gives;"
            " set a prefix in claimMappings"
        )
    return name


def _name(claims: VerifiedClaims, claim: str) -> str:
    if claim not in claims:
        raise Unauthenticated(f"the token has no claim `{claim}`")
    return _checked(claims[claim], f"claim `{claim}`")


def _checked(value: object, place: str) -> str:
    if not isinstance(value, str):
        raise Unauthenticated(f"the token's {place} is not a string")
    fault = name_fault(value)
    if fault:
        raise Unauthenticated(f"the token's {place} {fault}")
    return value

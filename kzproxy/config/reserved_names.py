"""``reservedNames`` of a ProxyConfiguration: which issuer may give which of Kubernetes' own names.

It stands in kzproxy's own file and not in the AuthenticationConfiguration, which is
kube-apiserver's: nobody becomes ``system:`` anything by a claim mapping alone.
"""

import re
from collections.abc import Sequence

from msgspec.structs import replace

from kzproxy.attributes.spiffe import SERVICE_ACCOUNT_PREFIX
from kzproxy.authentication.settings import JwtIssuerSettings, ReservedNames
from kzproxy.config.document import Node

# Of all that begins with `system:` only ServiceAccounts sign in by tokens. The rest need not ask
# RBAC, is nobody, or is part of the cluster itself.
_BEGINNINGS = {"users": SERVICE_ACCOUNT_PREFIX, "groups": "system:serviceaccounts"}
_ACCOUNT = re.compile(SERVICE_ACCOUNT_PREFIX + "[^:]+:[^:]+")


def with_reserved_names(
    issuers: Sequence[JwtIssuerSettings], node: Node | None
) -> tuple[JwtIssuerSettings, ...]:
    """Return the issuers with the names that ``reservedNames`` gives them; mistakes are noted."""
    if node is None:
        return tuple(issuers)
    given: dict[str, ReservedNames] = {}
    for entry in node.sequence():
        fields = entry.mapping(required=("issuer",), optional=("users", "groups"))
        url = fields["issuer"].string()
        if url in given:
            fields["issuer"].mistake(f"{url} is there twice; keep one")
        elif url and issuers and url not in {issuer.url for issuer in issuers}:
            fields["issuer"].mistake("is no issuer of the authenticationFile")
        if "users" not in fields and "groups" not in fields:
            entry.mistake("users or groups must be set here")
        given[url] = ReservedNames(users=_names(fields, "users"), groups=_names(fields, "groups"))
    return tuple(
        replace(issuer, reserved=given[issuer.url]) if issuer.url in given else issuer
        for issuer in issuers
    )


def _names(fields: dict[str, Node], name: str) -> tuple[str, ...]:
    if name not in fields:
        return ()
    patterns = fields[name].strings()
    for pattern in patterns:
        if not pattern.startswith(_BEGINNINGS[name]):
            fields[name].mistake(
                f"{pattern!r} must begin with {_BEGINNINGS[name]}; other `system:` names no token"
                " may give, and names without `system:` need no leave"
            )
        elif name == "users" and not _ACCOUNT.fullmatch(pattern):
            fields[name].mistake(
                f"{pattern!r} must be {SERVICE_ACCOUNT_PREFIX}NAMESPACE:NAME: `*` stands for part"
                " of one or the other, and not for both"
            )
    return tuple(sorted(patterns))

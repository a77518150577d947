"""The ``subjects`` of a rule: whom it means."""

import re

import msgspec

from kzproxy.authentication.names import name_fault
from kzproxy.config.document import Node
from kzproxy.config.policy_names import filled
from kzproxy.policy.rules import EVERYONE

ANONYMOUS = ("system:anonymous", "system:unauthenticated")
_LABEL = r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?"
SERVICE_ACCOUNT = re.compile(rf"({_LABEL})/([a-z0-9]([-a-z0-9.]{{0,251}}[a-z0-9])?)")
WORKLOAD = re.compile(r"\*[!-~]*|spiffe://[a-z0-9._*-]+(/[!-~]*)?")
TRUST_DOMAIN = re.compile(r"spiffe://[a-z0-9._-]+/[!-~]*")


class Subjects(msgspec.Struct, frozen=True, kw_only=True):
    """Whom a rule means: one of them is enough.

    Attributes:
        users: Exact names, those of ServiceAccounts among them.
        groups: Exact names.
        spiffe_ids: Globs.
    """

    users: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    spiffe_ids: tuple[str, ...] = ()


def read_subjects(node: Node) -> Subjects:
    """Read ``users``, ``groups``, ``serviceAccounts`` and ``spiffeIDs``."""
    fields = node.mapping(optional=("users", "groups", "serviceAccounts", "spiffeIDs"))
    if node.is_mapping() and not fields:
        node.mistake(
            "name users, groups, serviceAccounts or spiffeIDs; for every signed-in user,"
            f" groups: [{EVERYONE}]"
        )
    accounts = [_service_account(item) for item in _items(fields, "serviceAccounts")]
    return Subjects(
        users=frozenset([*(_subject(item) for item in _items(fields, "users")), *accounts]),
        groups=frozenset(_subject(item) for item in _items(fields, "groups")),
        spiffe_ids=tuple(_spiffe_id(item) for item in _items(fields, "spiffeIDs")),
    )


def _items(fields: dict[str, Node], kind: str) -> list[Node]:
    return filled(fields[kind], kind) if kind in fields else []


def _subject(node: Node) -> str:
    name = node.string()
    if "*" in name:
        node.mistake(f"a subject is written out; for every signed-in user, groups: [{EVERYONE}]")
    elif name in ANONYMOUS:
        node.mistake(f"{name} never comes here: requests without a credential are refused before")
    elif name and (fault := name_fault(name)):
        # A token with such a name is refused: a rule on it would mean nobody.
        node.mistake(f"nobody who comes here has this name, for it {fault}")
    return name


def _service_account(node: Node) -> str:
    """Return the user name of a ServiceAccount (apiserver pkg/authentication/serviceaccount)."""
    name = node.string()
    found = SERVICE_ACCOUNT.fullmatch(name)
    if found is None:
        if name:
            node.mistake(f'"{name}" is no ServiceAccount; write "NAMESPACE/NAME"')
        return ""
    return f"system:serviceaccount:{found[1]}:{found[3]}"


def _spiffe_id(node: Node) -> str:
    """Return a SPIFFE ID whose trust domain is written out; its path may have globs."""
    pattern = node.string()
    if pattern and TRUST_DOMAIN.fullmatch(pattern) is None:
        node.mistake(
            f'"{pattern}" is no SPIFFE ID; write "spiffe://TRUST-DOMAIN/PATH", where * in the path'
            " stands for any characters"
        )
    return pattern

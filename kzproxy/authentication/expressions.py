"""The CEL of ``AuthenticationConfiguration``, read as kube-apiserver reads it.

Variables and types are those of k8s.io/apiserver pkg/authentication/cel: ``claims`` is a map of
anything, ``user`` has username, uid, groups and extra. Numbers are floating-point, as Go's
encoding/json reads them. What kube-apiserver's language has and this one lacks is refused when the
file is read, never evaluated otherwise.
"""

from collections.abc import Iterator, Mapping
from functools import lru_cache

from kzproxy.attributes.identity import ExtraValues
from kzproxy.expressions.errors import ExpressionError, ExpressionFailedError
from kzproxy.expressions.language import Facts, Language, Program, Value
from kzproxy.expressions.library import ANY_MAP, STRING, STRINGS, STRINGS_MAP
from kzproxy.expressions.source import place
from kzproxy.expressions.tree import Kind, Tree

MAX_CLAIM_LEVELS = 64
"""Of lists and objects in one another; what reads them recurses. Issuers nest three deep."""

_REMEMBERED_PROGRAMS = 4096

_CLAIMS = "claims"
_CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"

CLAIMS_LANGUAGE = Language({_CLAIMS: ANY_MAP}, once=frozenset({_CLAIMS}), reads_claims=True)
"""kzproxy's reading of kube-apiserver's language for claims."""

USER_LANGUAGE = Language(
    {
        "user.username": STRING,
        "user.uid": STRING,
        "user.groups": STRINGS,
        "user.extra": STRINGS_MAP,
    },
    once=frozenset({"user.groups", "user.extra"}),
    reads_claims=True,
)


@lru_cache(_REMEMBERED_PROGRAMS)
def claims_value(text: str) -> Program:
    """Compile an expression that maps claims to a name or to names.

    Raises:
        ExpressionError: It is wrong, or kube-apiserver would take no result of it.
    """
    program = _over_claims(text)
    for node in _results(program.tree):
        if node.kind is Kind.CALL and node.name == "split":
            # convertCELValueToStringList in oidc.go knows lists of JSON and of CEL, not of Go.
            words = "kube-apiserver takes no result of `split` itself; add .map(name, name)"
            raise ExpressionError(words, *place(text, node.offset))
    return program


@lru_cache(_REMEMBERED_PROGRAMS)
def claims_rule(text: str) -> Program:
    """Compile an expression that says whether claims are taken.

    Raises:
        ExpressionError: It is wrong, or does not give a bool.
    """
    return _rule(_over_claims(text))


@lru_cache(_REMEMBERED_PROGRAMS)
def user_rule(text: str) -> Program:
    """Compile an expression that says whether a user is taken.

    Raises:
        ExpressionError: It is wrong, or does not give a bool.
    """
    return _rule(USER_LANGUAGE.compile(text))


def _over_claims(text: str) -> Program:
    program = CLAIMS_LANGUAGE.compile(text)
    _refuse_all_claims(program)
    for node in program.tree.nodes():
        if node.kind is Kind.WALK and (claim := _selected(node.children[0])) is not None:
            # There a claim is of type google.protobuf.Any, which has no members to walk over.
            words = f"kube-apiserver takes no walk over a bare claim; write dyn(claims.{claim})"
            raise ExpressionError(words, *place(text, node.offset))
    return program


def _refuse_all_claims(program: Program) -> None:
    """Refuse ``claims`` without a name behind it: there it is a map that cannot be walked over."""
    nodes = tuple(program.tree.nodes())
    whole = [node for node in nodes if node.kind is Kind.NAME and node.name == _CLAIMS]
    if sum(_selected(node) is not None for node in nodes) != len(whole):
        words = "kube-apiserver takes `claims` only with the name of a claim, as in claims.NAME"
        raise ExpressionError(words, *place(program.text, whole[0].offset))


def _rule(program: Program) -> Program:
    if program.result_type != "BOOL":
        raise ExpressionError("must be true or false; write a comparison, such as `== true`")
    return program


def _results(tree: Tree) -> Iterator[Tree]:
    """Give the nodes of which one is the result."""
    if tree.kind is Kind.CALL and tree.name == "_?_:_":
        for child in tree.children[1:]:
            yield from _results(child)
    else:
        yield tree


def selects(program: Program, claim: str) -> bool:
    """Tell whether an expression selects a claim as ``claims.NAME`` or ``claims.?NAME``."""
    return any(_selected(node) == claim for node in program.tree.nodes() if not _is_index(node))


def reads_claim(program: Program, claim: str) -> bool:
    """Tell whether an expression reads a claim, by whatever spelling."""
    return claim in _claims_read(program.tree)


def claims_facts(program: Program, claims: Mapping[str, object]) -> Facts:
    """Return the values that an expression over claims reads: those claims, and no others.

    Raises:
        ExpressionFailedError: A number among them is too large for kube-apiserver's reading, or
            lists or objects are nested deeper than ``MAX_CLAIM_LEVELS``.
    """
    names = _claims_read(program.tree)
    try:
        value = {name: _as_json(claims[name]) for name in names if name in claims}
    except OverflowError as error:
        raise ExpressionFailedError("a claim cannot be read") from error
    return Facts(CLAIMS_LANGUAGE, {_CLAIMS: value}.get)


def user_facts(
    username: str, uid: str, groups: tuple[str, ...], extra: ExtraValues, token_id: str
) -> Facts:
    """Return the values of ``user``; ``token_id`` is the token's ``jti``, empty where none.

    kube-apiserver adds the credential id to the extra before the rules are judged.
    """
    values: dict[str, list[str]] = {key: list(items) for key, items in extra}
    if token_id:
        values[_CREDENTIAL_ID] = [f"JTI={token_id}"]
    user: dict[str, Value] = {
        "user.username": username,
        "user.uid": uid,
        "user.groups": list(groups),
        "user.extra": values,
    }
    return Facts(USER_LANGUAGE, user.get)


def _claims_read(tree: Tree) -> frozenset[str]:
    return frozenset(name for node in tree.nodes() if (name := _selected(node)) is not None)


def _is_index(node: Tree) -> bool:
    return node.kind is Kind.CALL and node.name in ("_[_]", "_[?_]")


def _selected(node: Tree) -> str | None:
    if not node.children or node.children[0].name != _CLAIMS:
        return None
    if node.children[0].kind is not Kind.NAME:
        return None
    if node.kind is Kind.SELECT:
        return node.name
    if _is_index(node) or (node.kind is Kind.CALL and node.name == "_?._"):
        name = node.children[1].value
        return name if isinstance(name, str) else None
    return None


def _as_json(value: object, levels: int = MAX_CLAIM_LEVELS) -> Value:
    """Read numbers as Go does, as floating-point."""
    if levels == 0:
        raise OverflowError
    if isinstance(value, list):
        return [_as_json(item, levels - 1) for item in value]
    if isinstance(value, dict):
        return {key: _as_json(item, levels - 1) for key, item in value.items()}
    if isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, float) and abs(value) == float("inf"):
        raise OverflowError
    return value

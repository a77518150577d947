"""The ``when:`` of a rule: CEL over declared attributes, type-checked when a policy is read.

How rules use it::

    expression = compile_expression(text, names)      # once, when a policy is loaded
    facts = facts_of(attributes, circumstances)       # once a request, shared by all expressions
    expression.evaluate(facts)                        # bool, or ExpressionFailedError

What is not known (no ``acr`` in the token, labels not fetched, no device certificate) has no
value: an expression that needs it fails, one that does not (``a || b`` with ``a`` true) holds. A
rule whose expression fails is in error: a deny rule denies, an allow rule does not match.
"""

from collections.abc import Collection, Iterator

import msgspec

from kzproxy.expressions.errors import ExpressionError
from kzproxy.expressions.errors import ExpressionFailedError as ExpressionFailedError
from kzproxy.expressions.language import Facts, Language, Program
from kzproxy.expressions.library import (
    BOOL,
    BOOL_MAP,
    DURATION,
    INT,
    STRING,
    STRING_MAP,
    STRINGS,
    STRINGS_MAP,
    TIMESTAMP,
    Function,
)
from kzproxy.expressions.source import place
from kzproxy.expressions.tree import Kind, Tree
from kzproxy.policy.decision import Dependency
from kzproxy.policy.glob import glob_names

ATTRIBUTES = {
    "user.name": STRING,
    "user.groups": STRINGS,
    "user.uid": STRING,
    "user.extra": STRINGS_MAP,
    "user.issuer": STRING,
    "authentication.known": BOOL,
    "authentication.age": DURATION,
    "authentication.acr": STRING,
    "authentication.amr": STRINGS,
    "session.age": DURATION,
    "session.mode": STRING,
    "session.bound": BOOL,
    "session.risk": STRING,
    "session.riskKnown": BOOL,
    "session.addressChanged": BOOL,
    "session.countryChanged": BOOL,
    "device.enrolled": BOOL,
    "device.id": STRING,
    "device.tier": INT,
    "device.state": STRING,
    "device.owner": STRING,
    "device.managed": BOOL,
    "device.passed": STRINGS,
    "device.failed": STRINGS,
    "device.unknown": STRINGS,
    "device.postureAge": DURATION,
    "device.os": STRING,
    "device.osVersion": STRING,
    "device.risk": STRING,
    "device.riskKnown": BOOL,
    "source.ip": STRING,
    "source.networks": STRINGS,
    "source.country": STRING,
    "source.asn": INT,
    "source.geoKnown": BOOL,
    "time.now": TIMESTAMP,
    "time.calendars": STRINGS,
    "workload.spiffe_id": STRING,
    "workload.trust_domain": STRING,
    "workload.namespace": STRING,
    "workload.service_account": STRING,
    "request.verb": STRING,
    "request.group": STRING,
    "request.version": STRING,
    "request.resource": STRING,
    "request.subresource": STRING,
    "request.namespace": STRING,
    "request.name": STRING,
    "request.path": STRING,
    "request.is_resource": BOOL,
    "request.dry_run": BOOL,
    "request.field_selector": STRING,
    "request.label_selector": STRING,
    "request.user_agent": STRING,
    "request.command": STRINGS,
    "request.container": STRING,
    "request.reason": STRING,
    "request.namespace_known": BOOL,
    "request.namespace_labels": STRING_MAP,
    "object.labels": STRING_MAP,
    "object.privileged": BOOL,
    "object.host_namespaces": BOOL,
    "object.service_account": STRING,
    "object.images": STRINGS,
    "conditions": BOOL_MAP,
}
"""What an expression may read, by name and type."""

CONDITIONS = "conditions"

_ROOTS = {
    "user": Dependency.IDENTITY,
    "workload": Dependency.IDENTITY,
    "authentication": Dependency.AUTHENTICATION,
    "session": Dependency.AUTHENTICATION,
    "device": Dependency.DEVICE,
    "source": Dependency.NETWORK,
    "time": Dependency.TIME,
    "request": Dependency.REQUEST,
    "object": Dependency.OBJECT,
}
_BY_ITSELF = {
    "source.country": Dependency.LOCATION,
    "source.asn": Dependency.LOCATION,
    "source.geoKnown": Dependency.LOCATION,
    "request.reason": Dependency.REASON,
    "request.namespace_known": Dependency.NAMESPACE,
    "request.namespace_labels": Dependency.NAMESPACE,
}
_ALSO = {
    "session.addressChanged": (Dependency.MOVED,),
    "session.countryChanged": (Dependency.MOVED, Dependency.LOCATION),
    "authentication.age": (Dependency.TIME,),
    "session.age": (Dependency.TIME,),
    "device.managed": (Dependency.TIME,),
    "device.passed": (Dependency.TIME,),
    "device.failed": (Dependency.TIME,),
    "device.unknown": (Dependency.TIME,),
    "device.postureAge": (Dependency.TIME,),
}

# Up to a thousand entries, or without bound.
_LARGE = frozenset(
    {"user.groups", "user.extra", "authentication.amr", "request.command", "object.images"}
    | {"object.labels", "request.namespace_labels"}
)

LANGUAGE = Language(
    ATTRIBUTES,
    functions=(
        Function(
            name="glob",
            parameters=(STRING, STRING),
            result=BOOL,
            is_method=True,
            body=lambda text, pattern: glob_names(pattern).hold(text),
        ),
    ),
    once=_LARGE,
)
"""The one environment that all policies are compiled in."""


class DeclaredNames(msgspec.Struct, frozen=True, kw_only=True):
    """The names that a policy declares and that its expressions may speak of."""

    networks: frozenset[str] = frozenset()
    calendars: frozenset[str] = frozenset()
    conditions: frozenset[str] = frozenset()


class Expression:
    """A condition that can be evaluated; make it with ``compile_expression``.

    Attributes:
        text: As it was written.
        reads: The attributes it reads, by their full names.
        conditions: The named conditions it reads.
        depends_on: What kinds of fact it rests on; what named conditions rest on is not in it.
    """

    def __init__(self, program: Program) -> None:
        self.text = program.text
        self.reads = program.reads
        self.conditions = conditions_in(program.tree)
        self.depends_on = frozenset(_dependencies(program.reads))
        self._program = program

    @property
    def texts(self) -> list[str]:
        """The texts that it holds something against."""
        nodes = (node for node in self._program.tree.nodes() if node.kind is Kind.CONSTANT)
        return [node.value for node in nodes if isinstance(node.value, str)]

    @property
    def needs_object(self) -> bool:
        """Whether it reads the object of the request."""
        return Dependency.OBJECT in self.depends_on

    def evaluate(self, facts: Facts) -> bool:
        """Say whether it holds.

        Raises:
            ExpressionFailedError: Nobody can tell, or it took more steps than allowed.
        """
        return self._program.truth(facts)


def compile_expression(text: str, names: DeclaredNames) -> Expression:
    """Compile a condition.

    Raises:
        ExpressionError: With line and column in ``text``: it is wrong, does not give a bool, or
            speaks of a network, calendar or condition that is not declared.
    """
    program = LANGUAGE.compile(text)
    if program.result_type != "BOOL":
        kind = program.result_type.lower()
        raise ExpressionError(f"must be true or false; this gives {_article(kind)}")
    for message, offset in sorted(_wrong_names(program.tree, names), key=lambda found: found[1]):
        raise ExpressionError(message, *place(text, offset))
    return Expression(program)


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def _dependencies(reads: Collection[str]) -> Iterator[Dependency]:
    for name in reads:
        if name in _BY_ITSELF:
            yield _BY_ITSELF[name]
        elif (root := name.partition(".")[0]) in _ROOTS:
            yield _ROOTS[root]
        yield from _ALSO.get(name, ())


def conditions_in(tree: Tree) -> frozenset[str]:
    """Return the names of the conditions that an expression asks for."""
    found = (_condition(node) for node in tree.nodes())
    return frozenset(name for name in found if name is not None)


def _condition(node: Tree) -> str | None:
    """Return the name in ``conditions.NAME`` and ``conditions["NAME"]``."""
    if not node.children or node.children[0].name != CONDITIONS or node.only_tests:
        return None
    if node.kind is Kind.SELECT:
        return node.name
    if node.kind is Kind.CALL and node.name == "_[_]":
        index = node.children[1].value
        return index if isinstance(index, str) else None
    return None


def _wrong_names(tree: Tree, names: DeclaredNames) -> Iterator[tuple[str, int]]:
    yield from _wrong_conditions(tree, names.conditions)
    listed = {"source.networks": names.networks, "time.calendars": names.calendars}
    for node in tree.nodes():
        if node.kind is Kind.CALL and node.name == "@in":
            member, holder = node.children
            declared = listed.get(holder.name)
            if declared is None:
                continue
            if not isinstance(member.value, str):
                yield f"`in {holder.name}` must be asked for a literal", node.offset
            elif member.value not in declared:
                yield _undeclared(member.value, holder.name), member.offset


def _wrong_conditions(tree: Tree, declared: frozenset[str]) -> Iterator[tuple[str, int]]:
    proper = 0
    for node in tree.nodes():
        name = _condition(node)
        if name is not None:
            proper += 1
            if name not in declared:
                yield _undeclared(name, CONDITIONS), node.offset
    uses = [node for node in tree.nodes() if node.kind is Kind.NAME and node.name == CONDITIONS]
    if len(uses) != proper:
        yield (
            '`conditions` must be asked for one: conditions.NAME or conditions["NAME"]',
            (uses[-1].offset),
        )


def _undeclared(name: str, where: str) -> str:
    kind = {"source.networks": "networks", "time.calendars": "calendars"}.get(where, where)
    return f"`{name}` is not declared in `{kind}`"

"""Expressions that take one object from others, in rules that reach requests for many.

A list over all namespaces has no ``request.namespace``, and a list no ``request.name``. The words
of a match mean that too (``policy/reach.py``); an expression reads an empty text there. So one that
denies what is in ``prod`` is escaped by asking for all at once, and one that allows what is not in
``prod`` allows all of it at once.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec

from kzproxy.policy.condition import all_hold, any_holds, none_holds
from kzproxy.policy.scope import CLUSTER_SCOPED
from kzproxy.policy.vocabulary import ALL, COLLECTION_VERBS
from kzproxy.policy_tools.covering import positive
from kzproxy.policy_tools.finding import Finding, Lint
from kzproxy.policy_tools.policy_text import MatchText, PolicyText, RuleText

_NAMELESS_VERBS = frozenset({"create", *COLLECTION_VERBS})
_WITHOUT = {
    "request.namespace": "a request for what is in all namespaces at once has no request.namespace",
    "request.name": "a request for many objects, or to create one, has no request.name",
}
# Of three values, as in the engine: None where nobody can tell.
_Truth = bool | None


def all_at_once(text: PolicyText) -> Iterator[Finding]:
    """Find rules whose expressions are escaped, or passed, by asking for all at once."""
    named = {d.name: d.value for d in text.definitions if d.section == "conditions"}
    for rule in text.rules:
        for name, reaches in (("namespace", _reaches_all), ("name", _reaches_nameless)):
            asked = _Asked(attribute=f"request.{name}", named=named)
            if any(reaches(rule, match) for match in rule.matches) and asked.slips(rule):
                yield Finding(
                    lint=Lint.ALL_AT_ONCE,
                    place=rule.at("when" if rule.when else "conditions"),
                    rule=rule.id,
                    message=f"{_WITHOUT[asked.attribute]}, and so {_escape(rule, name)}",
                )


def _escape(rule: RuleText, name: str) -> str:
    if rule.effect == "deny":
        return f"escapes this; write {name}s in match, which means such a request too"
    return f'passes this; write {name}s in match, or ask for request.{name} != "" as well'


def _reaches_all(rule: RuleText, match: MatchText) -> bool:
    """Whether a request for all namespaces may come to the expression."""
    is_limited = match.namespaces or "namespaceSelector" in match.selectors
    return (
        _has_verb(match, COLLECTION_VERBS)
        and not (is_limited and rule.effect == "allow")
        and any(_is_in_namespaces(match, kind) for kind in positive(match.resources))
    )


def _is_in_namespaces(match: MatchText, kind: str) -> bool:
    """Whether it may be; of a list of namespaces each is judged by itself."""
    return not all(
        (group, kind) in CLUSTER_SCOPED or (group, kind) == ("", "namespaces")
        for group in match.api_groups
    )


def _reaches_nameless(rule: RuleText, match: MatchText) -> bool:
    """Whether a request without a name may come to the expression."""
    return (
        _has_verb(match, _NAMELESS_VERBS)
        and not (match.names and rule.effect == "allow")
        and any("/" not in kind and kind != "namespaces" for kind in positive(match.resources))
    )


def _has_verb(match: MatchText, verbs: Iterable[str]) -> bool:
    return not match.urls and bool({ALL, *verbs}.intersection(match.verbs))


class _Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Asks the expressions of rules with one attribute known, and nothing else.

    Attributes:
        attribute: By its full name.
        named: The named conditions, as written.
    """

    attribute: str
    named: Mapping[str, object]

    def slips(self, rule: RuleText) -> bool:
        """Whether an allow rule holds for no text more readily than for another, or a deny less."""
        texts = {text for when in self._expressions(rule) for text in self._texts(when)} - {""}
        without = _rank(self._holds(rule, "")) if texts else 0
        ranks = (_rank(self._holds(rule, text)) for text in texts)
        return any(rank > without if rule.effect == "deny" else rank < without for rank in ranks)

    def _expressions(self, rule: RuleText) -> Iterator[str]:
        if rule.when:
            yield rule.when
        yield from (str(w) for value in self.named.values() if (w := _mapping(value).get("when")))

    def _texts(self, when: str) -> list[str]:
        """Return what the attribute is held against."""
        from kzproxy.expressions.tree import Kind
        from kzproxy.policy.expression import LANGUAGE

        program = LANGUAGE.compile(when)
        if self.attribute not in program.reads:
            return []
        found = [node.value for node in program.tree.nodes() if node.kind is Kind.CONSTANT]
        # Of a pattern that is a whole name, the name.
        return [text.removeprefix("^").removesuffix("$") for text in found if isinstance(text, str)]

    def _holds(self, rule: RuleText, value: str) -> _Truth:
        named: dict[str, _Truth] = {}
        for name, written in self.named.items():
            named[name] = self._condition(_mapping(written), value, named)
        holds = self._expression(rule.when, value, named)
        return all_hold([holds, _composed(rule.conditions, named.get)])

    def _condition(
        self, written: Mapping[str, object], value: str, named: Mapping[str, _Truth]
    ) -> _Truth:
        others = None if written.keys() - {"when", "all", "any", "none"} else True
        holds = self._expression(str(written.get("when", "")), value, named)
        return all_hold([holds, _composed(written, named.get), others])

    def _expression(self, when: str, value: str, named: Mapping[str, _Truth]) -> _Truth:
        if not when:
            return True
        from kzproxy.expressions.errors import ExpressionFailedError
        from kzproxy.expressions.language import Facts
        from kzproxy.policy.expression import CONDITIONS, LANGUAGE

        known = {self.attribute: value}
        told = {name: holds for name, holds in named.items() if holds is not None}
        facts = Facts(LANGUAGE, lambda name: told if name == CONDITIONS else known.get(name))
        try:
            return LANGUAGE.compile(when).truth(facts)
        except ExpressionFailedError:
            return None


def _composed(written: Mapping[str, object], named: Callable[[str], _Truth]) -> _Truth:
    """Return what ``all``, ``any`` and ``none`` come to."""
    every, none, several = (
        [named(each) for each in _listed(written, word)] for word in ("all", "none", "any")
    )
    return all_hold([*every, none_holds(none), any_holds(several) if several else True])


def _rank(truth: _Truth) -> int:
    return {False: 0, None: 1, True: 2}[truth]


def _listed(written: Mapping[str, object], word: str) -> list[str]:
    found = written.get(word)
    return [str(each) for each in found] if isinstance(found, list) else []


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}

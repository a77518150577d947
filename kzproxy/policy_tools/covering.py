"""Whether rules reach all that another rule can: true only where that is certain.

A rule is taken apart into atoms (one subject, verb, group, resource, namespace and name), and each
atom must be held by one of the rules. What is not certain is not covered, so that no rule is
called superfluous that decides anything.
"""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from kzproxy.policy.glob import Names
from kzproxy.policy.rules import EVERYONE
from kzproxy.policy.vocabulary import (
    ALL,
    NODE_PROXY,
    URL_VERBS,
    resource_key,
    verbs_possible,
)
from kzproxy.policy_tools.policy_text import MatchText, RuleText

# A rule of more atoms is not compared; nobody writes one by hand.
_MAX_ATOMS = 20_000

Subject = tuple[str, str]


class Atom(msgspec.Struct, frozen=True, kw_only=True):
    """The smallest piece of a rule; an empty namespace or name stands for any, or none."""

    subject: Subject
    verb: str
    group: str = ""
    resource: str = ""
    excluded: frozenset[str] = frozenset()
    namespace: str = ""
    name: str = ""
    url: str = ""
    selectors: tuple[tuple[str, str], ...] = ()


def covering(rule: RuleText, others: Sequence[RuleText]) -> tuple[RuleText, ...]:
    """Return those of ``others`` that together reach all that ``rule`` can; empty if they do not.

    Conditions of ``others`` are not looked at.
    """
    used: dict[str, RuleText] = {}
    for number, atom in enumerate(_atoms(rule)):
        holder = next((other for other in others if _holds(other, atom)), None)
        if holder is None or number >= _MAX_ATOMS:
            return ()
        used[holder.id] = holder
    return tuple(used.values())


def asks_no_more(other: RuleText, rule: RuleText) -> bool:
    """Whether all that ``other`` asks is asked by ``rule`` too, in the same words."""
    return (
        _is_part(other.conditions, rule.conditions)
        and other.when in ("", rule.when)
        and (not other.needs or (other.needs, other.patches) == (rule.needs, rule.patches))
        and _is_part(other.obligations, rule.obligations)
    )


def positive(resources: Iterable[str]) -> list[str]:
    """Return the patterns that name resources, each in its one spelling."""
    return [resource_key(pattern) for pattern in resources if not pattern.startswith("!")]


def excluded(resources: Iterable[str]) -> frozenset[str]:
    """Return the patterns that exclude resources, without their ``!``."""
    return frozenset(pattern[1:] for pattern in resources if pattern.startswith("!"))


def _atoms(rule: RuleText) -> Iterator[Atom]:
    for match in rule.matches:
        for subject in sorted(rule.subjects):
            yield from _url_atoms(subject, match) if match.urls else _atoms_of(subject, match)


def _url_atoms(subject: Subject, match: MatchText) -> Iterator[Atom]:
    verbs = URL_VERBS if ALL in match.verbs else match.verbs
    yield from (Atom(subject=subject, verb=v, url=url) for v in verbs for url in match.urls)


def _atoms_of(subject: Subject, match: MatchText) -> Iterator[Atom]:
    selectors = _selectors(match)
    for resource in positive(match.resources):
        possible = verbs_possible(resource)
        verbs = possible if ALL in match.verbs else [v for v in match.verbs if v in possible]
        yield from (
            Atom(
                subject=subject,
                verb=verb,
                group=group,
                resource=resource,
                excluded=excluded(match.resources),
                namespace=namespace,
                name=name,
                selectors=selectors,
            )
            for verb in verbs
            for group in match.api_groups
            for namespace in match.namespaces or ("",)
            for name in match.names or ("",)
        )


def _selectors(match: MatchText) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((name, repr(value)) for name, value in match.selectors.items()))


def _holds(rule: RuleText, atom: Atom) -> bool:
    if atom.subject not in rule.subjects and ("groups", EVERYONE) not in rule.subjects:
        return False
    return any(_match_holds(match, atom, rule.effect) for match in rule.matches)


def _match_holds(match: MatchText, atom: Atom, effect: str) -> bool:
    if ALL not in match.verbs and atom.verb not in match.verbs:
        return False
    if atom.url or match.urls:
        return bool(atom.url and match.urls) and Names(match.urls).hold(atom.url)
    return (
        bool({ALL, atom.group}.intersection(match.api_groups))
        and any(pattern_holds(p, atom.resource, effect) for p in positive(match.resources))
        and _excludes_no_more(excluded(match.resources), atom)
        and _names_hold(match.namespaces, atom.namespace)
        and _names_hold(match.names, atom.name)
        and set(_selectors(match)) <= set(atom.selectors)
    )


def pattern_holds(pattern: str, resource: str, effect: str) -> bool:
    """Whether a pattern of a rule reaches all that ``resource``, a pattern too, does."""
    if pattern == resource:
        return True
    if effect == "allow" and resource == NODE_PROXY:
        return False  # the wildcards of allow rules never reach it
    base, _, subresource = resource.partition("/")
    wider = {ALL, f"{base}/*", f"*/{subresource}"} if subresource else {ALL}
    return pattern in wider


def _excludes_no_more(exclusions: frozenset[str], atom: Atom) -> bool:
    if exclusions <= atom.excluded:
        return True
    base = atom.resource.partition("/")[0]
    bases = {pattern.partition("/")[0] for pattern in exclusions}
    return base != ALL and ALL not in bases and base not in bases


def _names_hold(patterns: tuple[str, ...], name: str) -> bool:
    # A star within ``name`` can be held by a star alone, which holds all that it stands for.
    return not patterns or (bool(name) and Names(patterns).hold(name))


def _is_part(some: dict[str, object], more: dict[str, object]) -> bool:
    return all(name in more and more[name] == value for name, value in some.items())

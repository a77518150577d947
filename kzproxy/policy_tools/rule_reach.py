"""Whether one rule surely means all whom, and reaches all that, another does.

Never true by mistake: where it cannot be told, it does not. ``covering`` asks the same of several
rules as they are written; this compares two as they are meant.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import product

from msgspec.structs import replace

from kzproxy.policy.glob import Names
from kzproxy.policy.rules import EVERYONE, Effect, Match, Rule
from kzproxy.policy.selectors import LabelSelector
from kzproxy.policy.vocabulary import ALL, resource_key
from kzproxy.policy_tools.covering import pattern_holds

# An entry of more pieces is compared as a whole.
_MAX_PIECES = 5_000


def globs_cover(wide: Sequence[str], narrow: Iterable[str]) -> bool:
    """Whether each name or glob of ``narrow`` is held by one of ``wide``.

    Only a star alone holds a star alone: that one rules treat unlike any other glob.
    """
    names = Names(wide)
    return all(each in wide or (each != ALL and names.hold(each)) for each in narrow)


def subjects_cover(wide: Rule, narrow: Rule) -> bool:
    """Whether ``wide`` means everyone whom ``narrow`` does."""
    return EVERYONE in wide.groups or (
        narrow.users <= wide.users
        and narrow.groups <= wide.groups
        and globs_cover(wide.spiffe_ids, narrow.spiffe_ids)
    )


def matches_cover(wide: Sequence[Match], narrow: Iterable[Match], effect: Effect) -> bool:
    """Whether ``wide`` reaches all that ``narrow`` does, in rules of one effect."""
    return all(
        any(_covers(each, piece, effect) for each in wide)
        for entry in narrow
        for piece in _pieces(entry, wide, effect)
    )


def _pieces(entry: Match, wide: Sequence[Match], effect: Effect) -> Iterator[Match]:
    """Yield the entry, in pieces where no one of ``wide`` holds the whole of it."""
    is_whole = any(_covers(each, entry, effect) for each in wide)
    lists = (
        (entry.verbs, entry.non_resource_urls)
        if entry.non_resource_urls
        else (entry.verbs, entry.api_groups, entry.resources, entry.namespaces, entry.names)
    )
    number = 1
    for each in lists:
        number *= max(1, len(each))
    if is_whole or number > _MAX_PIECES:
        yield entry
    elif entry.non_resource_urls:
        for verb, url in product(entry.verbs, entry.non_resource_urls):
            yield Match(verbs=frozenset({verb}), non_resource_urls=frozenset({url}))
    else:
        yield from _resource_pieces(entry)


def _resource_pieces(entry: Match) -> Iterator[Match]:
    for verb, group, resource, namespace, name in product(
        entry.verbs,
        entry.api_groups,
        entry.resources,
        entry.namespaces or [""],
        entry.names or [""],
    ):
        yield replace(
            entry,
            verbs=frozenset({verb}),
            api_groups=frozenset({group}),
            resources=frozenset({resource}),
            namespaces=(namespace,) if namespace else (),
            names=(name,) if name else (),
        )


def _covers(wide: Match, narrow: Match, effect: Effect) -> bool:
    if ALL not in wide.verbs and not narrow.verbs <= wide.verbs:
        return False
    if wide.non_resource_urls or narrow.non_resource_urls:
        urls = narrow.non_resource_urls
        return bool(urls) and globs_cover(tuple(wide.non_resource_urls), urls)
    return (
        (ALL in wide.api_groups or narrow.api_groups <= wide.api_groups)
        and _resources_cover(wide, narrow, effect)
        and _optional_cover(wide.namespaces, narrow.namespaces)
        and _optional_cover(wide.names, narrow.names)
        and selector_covers(wide.namespace_selector, narrow.namespace_selector)
        and wide.label_equalities <= narrow.label_equalities
        and wide.field_equalities <= narrow.field_equalities
    )


def _resources_cover(wide: Match, narrow: Match, effect: Effect) -> bool:
    patterns = [resource_key(each) for each in wide.resources]
    return wide.excluded_resources <= narrow.excluded_resources and all(
        any(pattern_holds(pattern, resource_key(each), effect) for pattern in patterns)
        for each in narrow.resources
    )


def _optional_cover(wide: Sequence[str], narrow: Sequence[str]) -> bool:
    return not wide or (bool(narrow) and globs_cover(wide, narrow))


def selector_covers(wide: LabelSelector | None, narrow: LabelSelector | None) -> bool:
    """Whether ``wide`` selects all labels that ``narrow`` does; None asks for nothing."""
    if wide is None:
        return True
    return narrow is not None and set(wide.requirements) <= set(narrow.requirements)

"""What rules deny or leave out, by example: for questions about all that there is."""

from collections.abc import Iterable
from itertools import product

import msgspec

from kzproxy.policy.rules import Match
from kzproxy.policy.vocabulary import ALL, resource_key

MADE_UP = "kzproxy-none"
"""Stands for whatever no rule names."""


class Examples(msgspec.Struct, frozen=True, kw_only=True):
    """One of each kind of thing that rules take out of what they allow.

    Attributes:
        resources: Patterns of group and resource, that rules deny or leave out.
        namespaces: That rules deny something in, or that conditions tell from others.
        names: Of objects, that conditions tell from others.
        paths: Of URLs, that rules deny.
    """

    resources: tuple[tuple[str, str], ...] = ()
    namespaces: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    @classmethod
    def of(
        cls, denied: Iterable[Match], allowed: Iterable[Match], told: Iterable[tuple[str, str]]
    ) -> "Examples":
        """Take them from the ``match`` entries of rules.

        Args:
            denied: Of deny rules.
            allowed: Of allow rules.
            told: Attributes that expressions read, each with a text that they hold it against.
        """
        resources: dict[tuple[str, str], None] = {}
        namespaces: dict[str, None] = {}
        paths: dict[str, None] = {}
        for match in denied:
            resources |= _kinds(match.api_groups, match.resources)
            namespaces |= dict.fromkeys(map(example, match.namespaces))
            paths |= dict.fromkeys(map(example, sorted(match.non_resource_urls)))
        for match in allowed:
            resources |= _kinds(match.api_groups, match.excluded_resources)
        texts = list(dict.fromkeys(told))
        namespaces |= dict.fromkeys(example(text) for name, text in texts if name == "namespace")
        names = dict.fromkeys(example(text) for name, text in texts if name == "name")
        kinds = [text for name, text in texts if name == "resource"]
        resources |= dict.fromkeys(product(("", ALL), kinds))
        return cls(
            resources=tuple(resources),
            namespaces=tuple(namespaces),
            names=tuple(names),
            paths=tuple(paths),
        )


def _kinds(groups: Iterable[str], resources: Iterable[str]) -> dict[tuple[str, str], None]:
    return dict.fromkeys(product(sorted(groups), sorted(map(resource_key, resources))))


def in_both(one: str, other: str) -> str | None:
    """Return what two words, each of which may be ``*``, have in common; None where nothing."""
    if ALL in (one, other):
        return other if one == ALL else one
    return one if one == other else None


def in_both_resources(one: str, other: str) -> str | None:
    """Do the same for patterns of resources, word by word."""
    one, other = resource_key(one), resource_key(other)
    if ALL in (one, other):
        return in_both(one, other)
    (kind, _, subresource), (other_kind, _, other_sub) = one.partition("/"), other.partition("/")
    if bool(subresource) is not bool(other_sub):
        return None
    both = in_both(kind, other_kind), in_both(subresource, other_sub)
    if both[0] is None or both[1] is None:
        return None
    return f"{both[0]}/{both[1]}" if both[1] else both[0]


def example(pattern: str) -> str:
    """Return something that ``pattern`` holds."""
    return pattern.replace(ALL, MADE_UP)

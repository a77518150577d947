"""Label selectors of rules, and the requirements that a list's own selector must hold.

As in Kubernetes (apimachinery pkg/apis/meta/v1 LabelSelector): all requirements must be met.
"""

import re
from collections.abc import Mapping
from enum import StrEnum

import msgspec

from kzproxy.attributes.api_object import Labels

_SIMPLE = re.compile(r"\s*([^\s=!(),]+)\s*==?\s*([^\s=!(),]*)\s*")
_OF_FIELD = re.compile(r"([^\s=!(),]+)==?([^\s=!(),]*)")


class Operator(StrEnum):
    """How a label is asked for."""

    IN = "In"
    NOT_IN = "NotIn"
    EXISTS = "Exists"
    DOES_NOT_EXIST = "DoesNotExist"


class LabelRequirement(msgspec.Struct, frozen=True, kw_only=True):
    """One requirement.

    Attributes:
        key: Of the label.
        values: One of them, or none of them; empty for the operators that take none.
    """

    key: str
    operator: Operator
    values: frozenset[str] = frozenset()

    def met_by(self, labels: Mapping[str, str]) -> bool:
        """Whether ``labels`` are as it asks."""
        match self.operator:
            case Operator.IN:
                return self.key in labels and labels[self.key] in self.values
            case Operator.NOT_IN:  # A label that is not there has none of the values.
                return labels.get(self.key) not in self.values
            case Operator.EXISTS:
                return self.key in labels
            case Operator.DOES_NOT_EXIST:
                return self.key not in labels


class LabelSelector(msgspec.Struct, frozen=True, kw_only=True):
    """Requirements, all of which must be met; the loader sees to it that there is one."""

    requirements: tuple[LabelRequirement, ...]

    def selects(self, labels: Labels) -> bool:
        """Whether ``labels`` meet all requirements."""
        known = dict(labels)
        return all(requirement.met_by(known) for requirement in self.requirements)


def equalities(selector: str) -> frozenset[tuple[str, str]] | None:
    """Read a selector of the form ``a=b,c==d``; None where it is anything else."""
    found = [_SIMPLE.fullmatch(piece) for piece in selector.split(",")]
    if not all(found):
        return None
    return frozenset((piece[1], piece[2]) for piece in found if piece is not None)


def asked_equalities(selector: str) -> frozenset[tuple[str, str]]:
    """Return the requirements of the form ``a=b`` in a request's label selector.

    All requirements of a selector hold together, so that what else it asks only narrows it further.
    Nothing is found inside parentheses, which hold the values of another requirement, and nothing
    where there is a backslash, which no label selector has.
    """
    if "\\" in selector:
        return frozenset()
    outside = re.sub(r"\([^()]*\)", "()", selector)
    found = [_SIMPLE.fullmatch(piece) for piece in outside.split(",")]
    return frozenset((piece[1], piece[2]) for piece in found if piece is not None)


def asked_fields(selector: str) -> frozenset[tuple[str, str]]:
    """Return the requirements of the form ``a=b`` in a request's field selector.

    There a blank is part of a value (apimachinery pkg/fields/selector.go). Nothing is found where a
    comma may be escaped.
    """
    if "\\" in selector:
        return frozenset()
    found = [_OF_FIELD.fullmatch(piece) for piece in selector.split(",")]
    return frozenset((piece[1], piece[2]) for piece in found if piece is not None)

"""Write metrics in the text format of Prometheus.

Not with its client library, which brings an HTTP server, HTML and mail along: 1.6 MiB in each
worker. The supervisor, which reads what its workers show, does so with the library (``summed``).
"""

from collections.abc import Callable, Iterable, Sequence

import msgspec

Labels = tuple[tuple[str, str], ...]
# What follows the family's name, the labels, and the figure.
Sample = tuple[str, Labels, float]

_TEXT = str.maketrans({"\\": r"\\", "\n": r"\n"})
_VALUE = str.maketrans({"\\": r"\\", "\n": r"\n", '"': r"\""})


class Family(msgspec.Struct, frozen=True, kw_only=True):
    """All figures of one name.

    Attributes:
        name: A counter's without ``_total``.
        documentation: What is counted.
        kind: As Prometheus calls it: ``counter``, ``gauge`` or ``histogram``.
        samples: In the order in which they are shown.
    """

    name: str
    documentation: str
    kind: str
    samples: Sequence[Sample]


Collect = Callable[[], Family]


class Registry:
    """Everything that is shown together. Used on one event loop, as is all that counts into it."""

    def __init__(self) -> None:
        self._families: dict[str, Collect] = {}

    def register(self, name: str, collect: Collect) -> None:
        """Show what ``collect`` returns, each time.

        Raises:
            ValueError: Something else has the name.
        """
        if name in self._families:
            raise ValueError(f"there is a metric {name} already")
        self._families[name] = collect

    def exposition(self) -> bytes:
        """Return all of it as it stands."""
        return exposition(collect() for collect in self._families.values())


def exposition(families: Iterable[Family]) -> bytes:
    """Write ``families`` one after the other."""
    return "".join([line for family in families for line in _lines(family)]).encode()


def _lines(family: Family) -> Iterable[str]:
    name = f"{family.name}_total" if family.kind == "counter" else family.name
    yield f"# HELP {name} {family.documentation.translate(_TEXT)}\n"
    yield f"# TYPE {name} {family.kind}\n"
    for suffix, labels, figure in family.samples:
        yield f"{family.name}{suffix}{_braced(labels)} {float(figure)!r}\n"


def _braced(labels: Labels) -> str:
    if not labels:
        return ""
    inside = ",".join([f'{name}="{value.translate(_VALUE)}"' for name, value in labels])
    return f"{{{inside}}}"

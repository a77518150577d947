"""Gather the mistakes of all configuration files, so that they are reported together."""

from collections.abc import Iterable

from kzproxy.config.sources import Sources
from kzproxy.errors.configuration import ConfigurationError, Mistake


class Mistakes:
    """The mistakes found so far, over all files; one that is reported twice counts once.

    Attributes:
        sources: The files that they were looked for in.
    """

    def __init__(self, sources: Sources | None = None) -> None:
        self.sources = Sources() if sources is None else sources
        self._found: dict[Mistake, None] = {}

    def add(self, mistake: Mistake) -> None:
        """Record one mistake."""
        self._found[mistake] = None

    def report(self, source: str, message: str, *, line: int = 0, column: int = 0) -> None:
        """Record a mistake of ``source``; ``line`` and ``column`` as in ``Mistake``."""
        self.add(Mistake(source=source, message=message, line=line, column=column))

    @property
    def found(self) -> tuple[Mistake, ...]:
        """All mistakes so far, sorted by place."""
        return tuple(sorted(self._found, key=lambda m: (m.source, m.line, m.column, m.message)))

    def __len__(self) -> int:
        return len(self._found)

    def raise_if_any(self) -> None:
        """Raise ``ConfigurationError`` with all mistakes, or return if there are none."""
        if self._found:
            raise ConfigurationError(self.found)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``; did you mean ...?`` if a known word is close to ``word``, else nothing."""
    import difflib  # 0.3 MiB that a server whose files are right does without

    close = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""

"""The diagnostic log: on standard error, for whoever runs kzproxy."""

import logging
from types import TracebackType

from kzproxy.audit.visible import MAX_TARGET_CHARS, visible
from kzproxy.server.diagnostic_log import on_standard_error
from kzproxy.server.worker import Worker

_Raised = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


def log_to_standard_error(level: str, worker: Worker | None) -> None:
    """Write from ``level`` upwards, with the name of the ``worker`` if it is one of several."""
    who = "%(name)s" if worker is None else f"{worker.name} %(name)s"
    lines = on_standard_error()
    lines.setFormatter(_OneLine(f"%(asctime)s %(levelname)s {who}: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[lines])
    # httpx logs every request at info; key refreshes are not news.
    logging.getLogger("httpx").setLevel(logging.WARNING)


class _OneLine(logging.Formatter):
    """Writes a message as one line that acts on no terminal, and sets a traceback in below it.

    What went wrong is told in the words of whoever read it, a parser or a provider, and these may
    repeat what a client wrote: nothing of that may pass for a line of kzproxy's own.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - logging's own name
        record.message = visible(record.message, MAX_TARGET_CHARS)
        return super().formatMessage(record)

    def formatException(self, ei: _Raised) -> str:  # noqa: N802 - as above
        return _set_in(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 - as above
        return _set_in(super().formatStack(stack_info))


def _set_in(text: str) -> str:
    return "\n".join([f"  {visible(line, MAX_TARGET_CHARS)}" for line in text.split("\n")])

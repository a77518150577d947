"""A decision log before whose next event something else happens."""

from collections.abc import Awaitable, Callable

from kzproxy.audit.events import Event, EventLog


class InterruptedLog:
    """Writes events down in another log.

    Attributes:
        meanwhile: What happens before the next one is; once.
    """

    def __init__(self, log: EventLog) -> None:
        self.meanwhile: Callable[[], Awaitable[None]] | None = None
        self._log = log

    async def record_event(self, event: Event) -> None:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            await meanwhile()
        await self._log.record_event(event)

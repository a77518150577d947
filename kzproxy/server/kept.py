"""What is kept over restarts and shared by all workers: the store, and what follows it.

Imported only where the configuration names a store.
"""

import asyncio

import msgspec

from kzproxy.administrator.administrator import Administrator
from kzproxy.administrator.kept_signals import KeptSignals, keep_signals
from kzproxy.administrator.restating import StatesDevice
from kzproxy.administrator.session import SessionSettings
from kzproxy.administrator.session_directory import SessionDirectory
from kzproxy.administrator.signal_streams import SignalStreams
from kzproxy.audit.events import EventLog
from kzproxy.clock.system import Clock
from kzproxy.config.store import StoreSettings
from kzproxy.errors.configuration import ConfigurationError, Mistake
from kzproxy.errors.kinds import ServiceUnavailable
from kzproxy.server.kept_devices import KeptDevices, keep_devices
from kzproxy.server.kept_posture import KeptPosture, keep_posture
from kzproxy.store.following import Following
from kzproxy.store.sealing import Sealer
from kzproxy.store.sqlite import SqliteStore

_SWEEP_SECONDS = 0.2


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """The store and its views."""

    store: SqliteStore
    following: Following
    sealer: Sealer
    sessions: SessionDirectory
    devices: KeptDevices
    posture: KeptPosture
    signals: KeptSignals
    streams: SignalStreams
    administrator: Administrator
    clock: Clock

    @property
    def device_facts(self) -> tuple[StatesDevice, ...]:
        """Who knows more of a device than its certificate says, in the order they are asked."""
        return self.devices.registry, self.posture.book, *self.signals.of_devices

    def problem(self) -> str | None:
        """Say why every request is refused for want of what is kept; None where none is."""
        return self.following.problem() or self.signals.revocations.problem()

    def notices(self) -> dict[str, str]:
        """Say for operators whether what is kept can be read and written, and of posture."""
        return {
            "store-entries": self.following.unreadable.words() or "ok",
            "store-writes": self.store.unwritable or "ok",
        } | self.posture.notices()

    async def start(self) -> None:
        """Read everything.

        Raises:
            ConfigurationError: The store, which could be opened, cannot be read.
        """
        try:
            await self.following.start()
        except ServiceUnavailable as error:
            raise unusable_store("cannot be read", error) from error

    async def run(self) -> None:
        """Follow the store, until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.following.run())
            group.create_task(self.sessions.run())
            group.create_task(self.devices.run())
            group.create_task(self.posture.run())
            group.create_task(self._sweep())

    async def _sweep(self) -> None:
        """End what ends by itself, and everything where nobody can tell any more."""
        problem: str | None = None
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            self.sessions.sweep(self.clock.now())
            self.posture.book.sweep(self.clock.now())
            before, problem = problem, self.following.problem()
            if problem and not before:
                self.administrator.judge_all_again()

    async def close(self) -> None:
        """Close the store."""
        await self.sessions.note_used()
        await self.devices.note_seen()
        await self.store.close()


def unusable_store(how: str, error: ServiceUnavailable) -> ConfigurationError:
    """Return what a store is told by at the start that could be opened and is of no use."""
    mistake = Mistake(source="store.file", message=f"{how}: {error.detail}")
    return ConfigurationError([mistake])


def open_kept(
    settings: StoreSettings,
    sessions: SessionSettings,
    administrator: Administrator,
    events: EventLog,
    clock: Clock,
    *,
    takes_signals: bool = True,
) -> Kept:
    """Open the store; the caller closes what is returned.

    Raises:
        ConfigurationError: It cannot be opened.
    """
    try:
        store = SqliteStore.open(settings.file, clock)
    except OSError as error:
        raise ConfigurationError([Mistake(source="store.file", message=str(error))]) from error
    following = Following(store, clock)
    directory = SessionDirectory(store, following, clock, sessions)
    directory.on_change(administrator.judge_sessions_again)
    administrator.consult(directory)
    devices = keep_devices(store, following, directory, administrator, events, clock)
    registry = devices.registry
    posture = keep_posture(store, following, registry, administrator, events, clock)
    return Kept(
        store=store,
        following=following,
        sealer=Sealer(settings.keys),
        sessions=directory,
        devices=devices,
        posture=posture,
        # Last: it contradicts what others say of devices.
        signals=keep_signals(administrator, following, directory, are_taken=takes_signals),
        streams=SignalStreams(following),
        administrator=administrator,
        clock=clock,
    )

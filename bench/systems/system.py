"""What every measured system is: files, a command, and a door."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.load import Door
from bench.process import Process
from bench.upstreams import Upstream
from bench.world import World
from kzproxy.demo.loopback_ports import free_ports


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Where a system is put: its surroundings, its upstream and a new directory of its own."""

    world: World
    upstream: Upstream
    directory: Path


class System(ABC):
    """One system in one place; it is started once.

    Attributes:
        name: What it is called in tables.
        impersonates: Whether it sends our account's credential, one Impersonate-User and Audit-ID.
    """

    name: str
    impersonates = False

    def __init__(self, site: Site) -> None:
        """Make the directory of ``site``, and pick ports."""
        self.site = site
        self.log = site.directory / f"{self.name}.log"
        self.port, self._second_port = free_ports(2)
        site.directory.mkdir(parents=True)

    @property
    def door(self) -> Door:
        """How it is entered."""
        return Door(address=f"127.0.0.1:{self.port}", authority=self.site.world.authority)

    @property
    def door_with_devices(self) -> Door | None:
        """How it is entered by those who show a device certificate; None where nobody can."""
        return None

    @property
    def door_without_devices(self) -> Door | None:
        """How it is entered by those who show none; None where it makes no difference."""
        return None

    @property
    def decision_logs(self) -> Sequence[Path]:
        """Where this start wrote down what it decided; empty where it does not."""
        return ()

    @abstractmethod
    def command(self) -> list[str]:
        """Write its files; return what starts it."""

    def start(self, prefix: Sequence[str] = ()) -> Process:
        """Start it behind ``prefix``, such as taskset; it may not be ready yet."""
        return Process([*prefix, *self.command()], self.log)

"""What a probe asks: files, programs, and what the session says of itself."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from kzproxy.client.posture.commands import Commands
from kzproxy.client.posture.finding import Finding
from kzproxy.client.posture.tree import Tree


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """One machine, or a tree of files that stands for one.

    Attributes:
        tree: Its files.
        commands: Its programs.
        session: Variables of the user's desktop session.
        home: Of the user; a path below the tree's root.
        uid: Of the user.
        now: Aware, UTC.
    """

    tree: Tree
    commands: Commands
    session: Mapping[str, str]
    home: str
    uid: int
    now: datetime


Probe = Callable[[Machine], Finding]

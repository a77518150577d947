"""Read what the soak is judged by: the workers' decision logs and kube-apiserver's audit log."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

# A request that kube-apiserver gave up by a panic ends with that, and not with its completion.
_LAST_STAGES = frozenset({"ResponseComplete", "Panic"})


class _Request(msgspec.Struct):
    kube_verb: str = ""
    target: str = ""


class Record(msgspec.Struct):
    """As much of a decision log's record as is compared; see docs/reference/decision-log.md."""

    kind: str = ""
    audit_id: str = ""
    decision: str = ""
    cause: str = ""
    after: str = ""
    status_code: int | None = None
    termination: str = ""
    refused: int = 0
    lost: int = 0
    request: _Request | None = None

    @property
    def asked(self) -> str:
        """Verb and target, for who looks for the request."""
        return f"{self.request.kube_verb} {self.request.target}" if self.request else ""


class _Account(msgspec.Struct, frozen=True):
    username: str = ""


class _Object(msgspec.Struct, frozen=True):
    resource: str = ""


class AuditEvent(msgspec.Struct, rename="camel"):
    """As much of kube-apiserver's audit event as is compared."""

    audit_id: str = msgspec.field(name="auditID", default="")
    stage: str = ""
    verb: str = ""
    request_uri: str = msgspec.field(name="requestURI", default="")
    user_agent: str = ""
    user: _Account = _Account()
    impersonated_user: _Account | None = None
    object_ref: _Object | None = None


@dataclass(slots=True, kw_only=True)
class Life:
    """What one process wrote from its start to its end, whoever ended it.

    Attributes:
        worker: Its number.
        decisions: Of every kind, in their order.
        outcomes: How what was permitted ended.
        gaps: What the log says that it lacks.
        in_order: Whether it said that it stopped.
    """

    worker: int
    decisions: list[Record] = field(default_factory=list)
    outcomes: list[Record] = field(default_factory=list)
    gaps: list[Record] = field(default_factory=list)
    in_order: bool = False

    @property
    def permits(self) -> list[Record]:
        """What it let through."""
        return [record for record in self.decisions if record.decision == "permit"]

    def add(self, record: Record) -> None:
        """Take a record that follows."""
        match record.kind:
            case "decision":
                self.decisions.append(record)
            case "completed":
                self.outcomes.append(record)
            case "gap":
                self.gaps.append(record)
            case "stopped":
                self.in_order = True
            case _:
                pass


def lives(worker: int, lines: Iterable[bytes]) -> list[Life]:
    """Return the lives of a worker, from all lines of its log in their order.

    Raises:
        ValueError: A line is no record, or one comes before the first start.
    """
    decoder = msgspec.json.Decoder(Record)
    found: list[Life] = []
    for line in lines:
        record = decoder.decode(line)
        if record.kind == "started" or (record.kind == "resumed" and record.after == "restart"):
            found.append(Life(worker=worker))
        if not found:
            raise ValueError(f"the log of worker {worker} begins with {record.kind!r}")
        found[-1].add(record)
    return found


def read_lives(worker: int, files: Sequence[Path]) -> list[Life]:
    """Return the lives of a worker from its files, oldest first."""
    return lives(worker, (line for file in files for line in file.read_bytes().splitlines()))


def audit_events(lines: Iterable[bytes], account: str) -> list[AuditEvent]:
    """Return the requests of ``account`` that have ended, whomever it impersonated."""
    decoder = msgspec.json.Decoder(AuditEvent)
    events = (decoder.decode(line) for line in lines if line.strip())
    return [each for each in events if each.user.username == account and each.stage in _LAST_STAGES]


def read_audit_events(file: Path, account: str) -> list[AuditEvent]:
    """Return them from a file whose last line may be in the making."""
    with file.open("rb") as log:
        return audit_events((line for line in log if line.endswith(b"\n")), account)

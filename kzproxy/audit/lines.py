"""Read a line of a decision log back as the record that it holds."""

import msgspec

from kzproxy.audit.schema import CompletedRecord, DecisionRecord

# A line has the chain's fields beside the record's, so that unknown ones are left to it.
_ENVELOPE = ("v", "seq", "worker", "prev")


class _Kind(msgspec.Struct):
    kind: str


def decision_in(line: bytes) -> DecisionRecord | None:
    """Return the decision; None where the line holds another kind of record.

    Raises:
        msgspec.MsgspecError: It is no record of a decision log.
    """
    try:
        if msgspec.json.decode(line, type=_Kind).kind != "decision":
            return None
        return msgspec.json.decode(_record(line), type=DecisionRecord)
    except RecursionError as error:
        raise msgspec.DecodeError("it is nested too deeply") from error


def told_in(line: bytes) -> DecisionRecord | CompletedRecord | None:
    """Return the decision or its outcome; None where the line holds neither, or is torn."""
    try:
        return msgspec.json.decode(_record(line), type=DecisionRecord | CompletedRecord)
    except (msgspec.MsgspecError, RecursionError):
        return None


def _record(line: bytes) -> bytes:
    fields = msgspec.json.decode(line, type=dict[str, msgspec.Raw])
    kept = {name: value for name, value in fields.items() if name not in _ENVELOPE}
    return msgspec.json.encode(kept)

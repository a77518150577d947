"""Explain one decision of a decision log, for kzproxy itself: ``python -m`` this module.

Takes policy files as arguments and the record on standard input; prints what ``kzproxy policy
explain -o json`` prints, with the policy's revision and the same as lines of text, so that whoever
is shown it elsewhere needs to know no more of it. Exits 0, or 2 with a line that says why not.
"""

import json
import sys
from pathlib import Path

import msgspec

from kzproxy.audit.chain import MAX_LINE_BYTES
from kzproxy.audit.replayable import NotReplayable, attributes_of, check_replayed
from kzproxy.audit.schema import DecisionRecord
from kzproxy.cli.policy_explanation import explanation_json, explanation_lines
from kzproxy.config.mistakes import Mistakes
from kzproxy.errors.configuration import ConfigurationError
from kzproxy.policy_tools.explain import explain_decision
from kzproxy.policy_tools.policy_text import load_policy_text

_CANNOT = 2


def main() -> None:
    """Run with ``sys.argv``."""
    paths = [Path(argument) for argument in sys.argv[1:]]
    line = sys.stdin.buffer.read(MAX_LINE_BYTES)
    try:
        record = msgspec.json.decode(line, type=DecisionRecord)
        print(json.dumps(_explained(paths, record), default=str))  # noqa: T201 - what it is for
    except (ConfigurationError, NotReplayable, msgspec.MsgspecError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        raise SystemExit(_CANNOT) from None


def _explained(paths: list[Path], record: DecisionRecord) -> dict[str, object]:
    attributes = attributes_of(record)
    mistakes = Mistakes()
    policies, text = load_policy_text(paths, mistakes)
    mistakes.raise_if_any()
    explanation = explain_decision(policies, text, attributes)
    check_replayed(record, explanation.decision)
    return {
        "policyRevision": explanation.decision.revision,
        "text": list(explanation_lines(explanation, [], show_all=True)),
        **explanation_json(explanation, []),
    }


if __name__ == "__main__":
    main()

"""The diagnostic log: whoever reads it is told nothing by clients."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.proxy.fixtures import not_started
from tests.proxy.world import request

FORGED = "x`\n2026-01-01 00:00:00,000 INFO kzproxy.server.reload: forged\r\x1b[2J\u202e"
RAISES = """
import logging
from kzproxy.cli.diagnostics import log_to_standard_error
log_to_standard_error("info", None)
log = logging.getLogger("kzproxy.somewhere")
log.warning("it says: %s", {said!r})
try:
    raise ValueError({said!r})
except ValueError:
    log.exception("bug")
"""


def test_a_message_is_one_line_and_a_traceback_is_set_in_whatever_they_repeat() -> None:
    done = subprocess.run(
        [sys.executable, "-c", RAISES.format(said=FORGED)], capture_output=True, check=True
    )
    said, bug, *traceback = done.stderr.decode().split("\n")[:-1]
    assert r"x`\n2026-01-01 00:00:00,000 INFO" in said
    assert said.endswith(r"forged\r\x1b[2J\u202e")
    assert bug.endswith(" ERROR kzproxy.somewhere: bug")
    assert "  Traceback (most recent call last):" in traceback
    assert all(line.startswith("  ") for line in traceback)
    assert all(line.isprintable() for line in (said, bug, *traceback))


@pytest.mark.parametrize("field", [FORGED, "a\u2028b"])
def test_nobody_writes_a_line_of_their_own_into_it(tmp_path: Path, field: str) -> None:
    with not_started(tmp_path, reasons={"directory": "reasons"}) as made:
        world = made.world
        world.proxy.start()
        body = json.dumps({field: 1, "reason": "x"}, ensure_ascii=False).encode()
        put = request(
            *("PUT", "/kzproxy.dev/v1/reason", world.token("mallory", "testers")),
            "Content-Type: application/json",
            body=body,
        )
        with world.client() as client:
            answer = client.ask(put)
        written = world.proxy.diagnostics
    assert answer.status == 400
    (line,) = [each for each in written.split("\n") if answer.audit_id in each]
    assert "the body is not a reason" in line
    assert line.isprintable()
    assert not [each for each in written.split("\n") if each.startswith("2026-01-01")]

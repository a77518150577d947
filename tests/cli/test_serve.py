"""``kzproxy serve``, before it serves."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("workers", [1, 2])
def test_a_reload_that_is_asked_for_while_the_configuration_is_read_does_not_kill(
    workers: int, tmp_path: Path
) -> None:
    config = tmp_path / "config.yaml"
    os.mkfifo(config)
    command = [sys.executable, "-m", "kzproxy", "serve", "--config", str(config)]
    with subprocess.Popen(
        [*command, "--workers", str(workers)], stderr=subprocess.PIPE, text=True
    ) as starting:
        with config.open("w") as written:  # Opens once somebody reads.
            starting.send_signal(signal.SIGHUP)
            written.write("kind: Nothing\n")
        _, said = starting.communicate(timeout=60)

    assert starting.returncode == 2
    assert str(config) in said

import os
import signal
import subprocess
import sys
import time

STOPPED_SECONDS = 0.5
WATCHED = """
import time
from tests.matrix.stalls import Stalls
with Stalls() as stalls:
    began = time.monotonic()
    print(flush=True)
    while not (found := stalls.within(began, time.monotonic())) > 0.4:
        time.sleep(0.01)
    print(found, stalls.within(began - 2, began - 1))
"""


def test_a_process_that_was_stopped_knows_for_how_long() -> None:
    with subprocess.Popen([sys.executable, "-c", WATCHED], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        os.kill(process.pid, signal.SIGSTOP)
        time.sleep(STOPPED_SECONDS)
        os.kill(process.pid, signal.SIGCONT)
        within, before = map(float, process.stdout.read().split())

    assert within > 0.4
    assert before == 0

"""How a worker ended is said in words, whatever ended it."""

import signal

import pytest

from kzproxy.server.worker_process import WorkerProcess, ending_words


@pytest.mark.parametrize(
    ("does", "words"),
    [
        ("exit 3", "ended with 3"),
        ("kill -KILL $$", "was ended by SIGKILL"),
        (f"kill -{signal.SIGRTMIN + 5} $$", f"was ended by signal {signal.SIGRTMIN + 5}"),
    ],
)
async def test_a_process_ends_with_a_code_or_by_a_signal_even_one_without_a_name(
    does: str, words: str
) -> None:
    process = WorkerProcess.start(["/bin/sh", "-c", does])
    assert ending_words(await process.ended()) == words

"""That what is filled is full, before memory is weighed."""

from kzproxy.http.request_head_memo import RequestHeadMemo
from soak.memories import REQUESTS, unheard_of


def test_a_quarter_of_the_requests_fills_what_a_worker_remembers_of_heads() -> None:
    memo = RequestHeadMemo()
    remembered, fullest = 0, 0
    for number in range(REQUESTS // 4):
        ask = unheard_of(number)
        lines = [f"{ask.method} {ask.path} HTTP/1.1", "host: localhost"]
        lines += [f"{name}: {value}" for name, value in ask.headers.items()]
        memo.read("".join(f"{line}\r\n" for line in [*lines, ""]).encode())
        remembered = memo._heads
        fullest = max(fullest, remembered)

    assert remembered < fullest  # It has forgotten them all once.

"""What real clients send is never refused; recorded by ``python -m tests.traffic.record``."""

import json
from pathlib import Path

import pytest

from kzproxy.attributes.request_info import RequestInfo
from kzproxy.http.request_head import head_end, parse_request_head
from kzproxy.upstream.impersonation import impersonate
from tests.policy.samples import allow, asked, decide, match
from tests.upstream.test_impersonation import ANN, block

LINES = Path(__file__).with_name("heads.jsonl").read_text(encoding="ascii").splitlines()
RECORDED = [json.loads(line) for line in LINES]


def test_each_client_was_recorded() -> None:
    counts = dict.fromkeys(("kubectl", "helm", "python", "k9s", "node", "fabric8"), 0)
    for recorded in RECORDED:
        counts[recorded["client"]] += 1

    assert min(counts.values()) >= 25


@pytest.mark.parametrize("number", range(len(RECORDED)))
def test_what_a_client_sends_is_read_judged_and_sent_on(number: int) -> None:
    data = RECORDED[number]["head"].encode("latin-1")
    assert head_end(data, 0) == len(data)

    head = parse_request_head(data)
    info = RequestInfo.parse(head.method, head.target)
    assert RequestInfo.parse(info.method, info.target) == info
    rules = [allow("all", match("*", "*"), match("*", urls="*"), groups="system:authenticated")]
    permit = decide(rules, asked(head.method, head.target, who=ANN))
    outgoing = impersonate(head, permit, block(), audit_id="a-1")  # type: ignore[arg-type]

    assert outgoing.head.startswith(f"{head.method} {info.target} HTTP/1.1\r\n".encode())
    assert (outgoing.body, outgoing.upgrade) == (head.body, head.upgrade)

"""Decisions are told so that a person can follow them."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from kzproxy.demo.feed import MAX_REMEMBERED, Feed, follow


def decision(**changes):
    record = {
        "kind": "decision",
        "ts": "2026-03-02T12:00:00.5Z",
        "audit_id": "a-1",
        "decision": "permit",
        "cause": "allow-rule",
        "rule": "dev-work",
        "user": {"name": "kzproxy-demo:developer"},
        "device": {"enrolled": "passed", "id": "demo-laptop"},
        "request": {
            "method": "GET",
            "target": "/api/v1/namespaces/dev/pods",
            "path": "/api/v1/namespaces/dev/pods",
            "verb": "list",
            "resource": "pods",
            "namespace": "dev",
        },
    }
    return record | changes


def completed(**changes):
    record = {
        "kind": "completed",
        "ts": "2026-03-02T12:00:03.5Z",
        "audit_id": "a-1",
        "termination": "normal",
        "status_code": 200,
        "duration_ms": 3000.0,
    }
    return record | changes


DISCOVERY = {"method": "GET", "target": "/apis", "path": "/apis", "verb": "get"}
EXEC = {
    "method": "POST",
    "target": "/x",
    "verb": "connect",
    "resource": "pods",
    "subresource": "exec",
    "name": "web",
    "namespace": "dev",
    "stream": "exec",
}


def told(feed, record):
    return [line.plain for line in feed.lines(record)]


def test_a_permit_is_one_line():
    (line,) = told(Feed(), decision())
    assert line[8:] == (" allow       developer  list pods -n dev  rule dev-work, from demo-laptop")


def test_a_denial_says_what_can_be_done():
    record = decision(
        decision="deny", cause="no-rule", rule="", hint="ask for a device", device=None
    )
    line, hint = told(Feed(), record)
    assert "DENY" in line
    assert line.endswith("no rule allows it")
    assert hint.strip() == "ask for a device"


def test_a_refusal_has_no_user():
    record = decision(
        decision="refused", cause="unauthenticated", rule="", user=None, message="sign in"
    )
    line, message = told(Feed(), record)
    assert "refused" in line
    assert " ? " in line
    assert message.strip() == "sign in"


def test_breaking_the_glass_is_loud():
    (line,) = Feed().lines(decision(rule="break-glass"))
    assert "BREAK-GLASS" in line.plain
    assert any("on yellow" in str(span.style) for span in line.spans)


def test_discovery_is_told_once_in_a_while():
    feed = Feed()
    first = decision(rule="discovery", request=DISCOVERY)
    assert told(feed, first)[0].endswith("GET /apis  rule discovery, from demo-laptop")
    assert told(feed, first | {"ts": "2026-03-02T12:00:09Z"}) == []
    assert told(feed, first | {"ts": "2026-03-02T12:00:18Z"}) == []
    assert told(feed, first | {"user": {"name": "kzproxy-demo:guest"}}) != []
    assert told(feed, first | {"ts": "2026-03-02T12:00:40Z"}) != []
    assert told(feed, first | {"decision": "deny", "cause": "no-rule"}) != []


def test_an_ordinary_end_is_not_told():
    feed = Feed()
    feed.lines(decision())
    assert told(feed, completed()) == []


def test_the_end_of_a_stream_is_told():
    feed = Feed()
    feed.lines(decision(request=EXEC))
    (line,) = told(feed, completed(termination="policy-cut"))
    assert "ended" in line
    assert "connect pods/exec web -n dev  after 3.0 s (policy-cut)" in line


def test_what_kube_apiserver_refused_is_told():
    feed = Feed()
    feed.lines(decision())
    (line,) = told(feed, completed(status_code=403))
    assert "-> 403" in line
    assert line.endswith("by kube-apiserver")


def test_what_is_remembered_is_bounded():
    feed = Feed()
    for number in range(2 * MAX_REMEMBERED):
        feed.lines(decision(audit_id=str(number)))
    assert told(feed, completed(audit_id="0", status_code=403)) == []
    assert len(feed._permitted) == MAX_REMEMBERED


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=4,
)


@given(st.sampled_from(["decision", "completed", "started", 7]), st.data())
def test_a_record_that_is_not_understood_is_passed_over(kind, data):
    known = decision() if kind == "decision" else completed()
    name = data.draw(st.sampled_from(sorted(known)))
    changed = known | {name: data.draw(VALUES), "kind": kind}
    feed = Feed()
    feed.lines(decision())
    assert isinstance(feed.lines(changed), list)


def _finish(file, text):
    file.write(text)
    file.flush()


async def test_a_log_is_followed_from_its_end_on(tmp_path):
    log = tmp_path / "decisions.jsonl"
    log.write_text('{"seq": 1}\n')
    records = follow(log, from_byte=log.stat().st_size)
    with log.open("a") as end:
        end.write('{"seq": 2}\nno json\n[]\n\n{"se')
        end.flush()
        async with asyncio.timeout(10):
            assert await anext(records) == {"seq": 2}
            asyncio.get_running_loop().call_later(0.05, _finish, end, 'q": 3}\n')
            assert await anext(records) == {"seq": 3}
    await records.aclose()


async def test_a_log_that_is_not_there_yet_is_waited_for(tmp_path):
    log = tmp_path / "decisions.jsonl"
    records = follow(log, from_byte=0)
    async with asyncio.timeout(10):
        asyncio.get_running_loop().call_later(0.05, log.write_text, '{"seq": 1}\n')
        assert await anext(records) == {"seq": 1}
    await records.aclose()

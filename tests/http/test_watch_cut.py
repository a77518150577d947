"""Where a chunked watch may be ended, and with which bytes."""

import json

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kzproxy.errors.kinds import Forbidden, UpstreamInvalid
from kzproxy.errors.status import status_body
from kzproxy.http.chunks import LAST_CHUNK, ChunkScanner, chunk
from kzproxy.http.protobuf_status import error_event
from kzproxy.http.watch_cut import WatchCut

JSON = "application/json"
PROTOBUF = "application/vnd.kubernetes.protobuf"
CBOR = "application/cbor-seq"
STATUS = status_body(Forbidden("posture lapsed"), "audit-1")


def event(number: int) -> bytes:
    return json.dumps({"type": "ADDED", "object": {"n": number, "s": "line\nfeed"}}).encode()


def protobuf_event(size: int) -> bytes:
    return size.to_bytes(4, "big") + b"\n" * size


def edges_of(payloads: list[bytes], chunk_sizes: list[int]) -> tuple[bytes, set[int]]:
    """Chunk the events by these sizes; return the bytes and where both a chunk and an event end."""
    stream = b"".join(payloads)
    ends = {0}
    for payload in payloads:
        ends.add(max(ends) + len(payload))
    body, edges, position, number = b"", {0}, 0, 0
    while position < len(stream):
        piece = stream[position : position + chunk_sizes[number % len(chunk_sizes)]]
        body += chunk(piece)
        position += len(piece)
        number += 1
        if position in ends:
            edges.add(len(body))
    return body, edges


SIZES = st.lists(st.integers(1, 60), min_size=1, max_size=5)


@given(st.integers(1, 4), SIZES, st.lists(st.integers(0, 1000), max_size=8))
@settings(deadline=None, max_examples=300)
def test_json_a_boundary_is_where_a_chunk_and_a_line_end(count, chunk_sizes, cuts):
    body, edges = edges_of([event(n) + b"\n" for n in range(count)], chunk_sizes)
    assert boundaries(WatchCut(JSON), body, cuts) <= edges
    assert boundaries(WatchCut(JSON), body, list(range(len(body) + 1))) == edges


@given(st.lists(st.integers(0, 40), min_size=1, max_size=4), SIZES, st.lists(st.integers(0, 500)))
@settings(deadline=None, max_examples=300)
def test_protobuf_a_boundary_is_where_a_chunk_and_a_frame_end(sizes, chunk_sizes, cuts):
    """Line feeds within a frame mean nothing."""
    body, edges = edges_of([protobuf_event(size) for size in sizes], chunk_sizes)
    assert boundaries(WatchCut(PROTOBUF), body, cuts) <= edges
    assert boundaries(WatchCut(PROTOBUF), body, list(range(len(body) + 1))) == edges


@given(st.sampled_from([JSON, PROTOBUF, CBOR]), SIZES, st.lists(st.integers(0, 1000), max_size=8))
@settings(deadline=None, max_examples=300)
def test_it_knows_the_same_where_somebody_else_follows_the_chunks(media_type, chunk_sizes, cuts):
    events = [protobuf_event(n) if media_type == PROTOBUF else event(n) + b"\n" for n in range(4)]
    body, _ = edges_of(events, chunk_sizes)
    chunks = ChunkScanner(UpstreamInvalid)
    followed, alone = WatchCut(media_type, chunks), WatchCut(media_type)
    assert followed.must_feed is (media_type == PROTOBUF)
    position = 0
    for stop in sorted({stop % (len(body) + 1) for stop in cuts}):
        chunks.follow(body[position:stop])
        if followed.must_feed:
            assert followed.feed(body[position:stop]) == body[position:stop]
        assert alone.feed(body[position:stop]) == body[position:stop]
        assert followed.farewell(STATUS) == alone.farewell(STATUS)
        position = stop


def boundaries(cut: WatchCut, body: bytes, cuts: list[int]) -> set[int]:
    """Return at which of ``cuts`` (offsets into ``body``) the tracker says it is at a boundary."""
    found, position = set(), 0
    for stop in sorted({stop % (len(body) + 1) for stop in cuts}):
        cut.feed(body[position:stop])
        position = stop
        if cut.at_boundary:
            found.add(stop)
        assert (cut.farewell(STATUS) is None) == (not cut.at_boundary)
    return found


def test_json_the_farewell_is_one_error_event_and_a_clean_end():
    """As client-go's decoder reads it: whole lines, then the end of the body."""
    cut = WatchCut(JSON)
    sent = chunk(event(1) + b"\n")
    cut.feed(sent)
    connection = h11.Connection(h11.CLIENT)
    connection.send(h11.Request(method="GET", target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    connection.receive_data(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    connection.receive_data(sent + cut.farewell(STATUS))
    assert isinstance(connection.next_event(), h11.Response)
    payload = b""
    while isinstance(read := connection.next_event(), h11.Data):
        payload += read.data
    assert isinstance(read, h11.EndOfMessage)
    assert payload.endswith(b"\n")
    last = json.loads(payload.splitlines()[-1])
    assert last["type"] == "ERROR"
    assert (last["object"]["kind"], last["object"]["code"]) == ("Status", 403)
    assert "posture lapsed" in last["object"]["message"]


def test_a_watch_without_an_event_yet_may_be_ended():
    assert WatchCut(JSON).farewell(STATUS).startswith(b"%x\r\n" % (len(STATUS) + 26))


def test_protobuf_the_farewell_is_one_error_event_and_a_clean_end():
    cut = WatchCut(PROTOBUF)
    cut.feed(chunk(protobuf_event(7)))

    assert cut.farewell(STATUS) == chunk(error_event(STATUS)) + LAST_CHUNK


def test_cbor_watches_end_cleanly_without_a_reason():
    assert WatchCut(CBOR).farewell(STATUS) == LAST_CHUNK


def test_cbor_a_boundary_is_where_a_chunk_ends():
    cut = WatchCut(CBOR)
    cut.feed(chunk(b"\xa1"))
    assert cut.farewell(STATUS) == LAST_CHUNK
    cut.feed(b"2\r\n\xa1")
    assert cut.farewell(STATUS) is None


def test_a_watch_that_has_ended_has_no_farewell():
    cut = WatchCut(JSON)
    cut.feed(chunk(event(1) + b"\n") + LAST_CHUNK)
    assert not cut.at_boundary
    assert cut.farewell(STATUS) is None


def test_a_watch_that_is_ending_has_no_farewell():
    cut = WatchCut(JSON)
    cut.feed(b"0\r\n")
    assert cut.farewell(STATUS) is None


def test_what_the_client_sends_changes_nothing():
    cut = WatchCut(JSON)
    cut.feed_client(b"junk")
    assert cut.at_boundary


def test_malformed_chunks_are_the_upstreams_fault():
    with pytest.raises(UpstreamInvalid):
        WatchCut(JSON).feed(b"5;a\nb\r\n")

"""Lines of a chunked body, cut anywhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.errors.kinds import UpstreamInvalid
from kzproxy.http.chunked_lines import ChunkedLines
from kzproxy.http.chunks import LAST_CHUNK, chunk

LINES = st.lists(st.binary(min_size=1, max_size=40).map(lambda b: b.replace(b"\n", b".")))


@given(lines=LINES, cuts=st.lists(st.integers(0, 2000)), data=st.data())
def test_lines_come_whole_however_the_body_is_framed_and_cut(
    lines: list[bytes], cuts: list[int], data: st.DataObject
) -> None:
    body = b"".join(line + b"\n" for line in lines)
    framed, at = b"", 0
    while at < len(body):
        size = data.draw(st.integers(1, len(body) - at))
        framed += chunk(body[at : at + size])
        at += size
    framed += LAST_CHUNK
    reader, found, start = ChunkedLines(max_bytes=100), [], 0
    for cut in sorted({*(c for c in cuts if c < len(framed)), len(framed)}):
        found += reader.feed(framed[start:cut])
        start = cut
    assert found == lines
    assert reader.done


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_a_line_over_its_bound_is_refused(end: bytes) -> None:
    reader = ChunkedLines(max_bytes=10)
    with pytest.raises(UpstreamInvalid, match="over 10 bytes"):
        reader.feed(chunk(b"x" * 11 + end))


def test_an_empty_line_is_none() -> None:
    assert ChunkedLines(max_bytes=10).feed(chunk(b"\n\na\n")) == [b"a"]

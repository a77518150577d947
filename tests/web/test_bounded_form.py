"""A form has one reading, whatever encoding its sender names; all else is refused in time."""

import asyncio
import gzip
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import aiohttp
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.errors.kinds import BadRequest, PayloadTooLarge, ProxyError
from kzproxy.web.bounded_form import MAX_FIELDS, bounded_form, form_fields

FORM = "application/x-www-form-urlencoded"
LIMIT = 64 * 1024
ENCODINGS = [
    "idna",
    "punycode",
    "bogus",
    "zlib",
    "utf-16",
    "utf-7",
    "unicode_escape",
    "iso-8859-1",
    "utf-8; charset=idna",
]


class Reader:
    """A server that reads forms, and what came of each."""

    def __init__(self) -> None:
        self.asked = asyncio.Event()
        self.read: list[list[tuple[str, str]] | Exception] = []
        self.client: aiohttp.ClientSession
        self.address: tuple[str, int]

    async def answer(self, request: web.Request) -> web.Response:
        self.asked.set()
        try:
            fields = list(await bounded_form(request, LIMIT))
        except ProxyError as error:
            self.read.append(error)
            return web.Response(status=error.code, text=error.message)
        except Exception as bug:
            self.read.append(bug)
            raise
        self.read.append(fields)
        return web.json_response(fields)

    async def post(self, body: bytes, **headers: str) -> tuple[int, str]:
        given = {"Content-Type": FORM} | {n.replace("_", "-"): v for n, v in headers.items()}
        async with self.client.post("/", data=body, headers=given) as answer:
            return answer.status, await answer.text()

    async def break_off(self, head: bytes, body: bytes) -> None:
        """Send bytes, and hang up while they are read."""
        _, writer = await asyncio.open_connection(*self.address)
        writer.write(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: " + FORM.encode() + head)
        async with asyncio.timeout(5):
            await self.asked.wait()
            writer.write(body)
            writer.close()
            while not self.read:
                await asyncio.sleep(0.01)


@pytest.fixture
async def reader() -> AsyncIterator[Reader]:
    made = Reader()
    application = web.Application()
    application.router.add_post("/", made.answer)
    runner = web.AppRunner(application, auto_decompress=False)  # as the listener's is
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        made.address = runner.addresses[0]
        async with aiohttp.ClientSession("http://{}:{}".format(*made.address)) as made.client:
            yield made
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    "kind",
    [
        FORM,
        FORM.upper(),
        f"{FORM};charset=utf-8",
        f"{FORM}; charset=UTF-8",
        f'{FORM}; charset="utf-8"',
    ],
)
async def test_a_form_is_read_as_utf_8(reader: Reader, kind: str) -> None:
    status, text = await reader.post(b"name=%C3%BC+b&empty=", Content_Type=kind)
    assert (status, reader.read) == (200, [[("name", "ü b"), ("empty", "")]]), text


@pytest.mark.parametrize("encoding", ENCODINGS)
async def test_no_other_encoding_can_be_named(reader: Reader, encoding: str) -> None:
    """Of 60 KiB in idna or punycode, decoding takes the loop half a second."""
    body = b"xn--" + b"a" * 30_000 + b"-" + b"a" * 30_000
    status, text = await reader.post(body, Content_Type=f"{FORM}; charset={encoding}")
    assert status == 415, text


@pytest.mark.parametrize(
    "kind",
    [
        "application/json",
        "text/plain",
        "multipart/form-data; boundary=x",
        f"{FORM}; boundary=x",
        f"{FORM}; charset*=idna''%61",
        f"{FORM};" + ";".join(f"a{number}=b" for number in range(1000)),
        f"{FORM} " + "(" * 4000,
    ],
)
async def test_no_other_type_is_a_form(reader: Reader, kind: str) -> None:
    """Of the last two, aiohttp's own reading takes most of a second, or all of the stack."""
    assert (await reader.post(b"a=b", Content_Type=kind))[0] == 415


async def test_two_types_are_none(reader: Reader) -> None:
    headers = [("Content-Type", FORM), ("Content-Type", "text/plain")]
    async with reader.client.post("/", data=b"a=b", headers=headers) as answer:
        assert answer.status in {400, 415}
    assert reader.read != [[("a", "b")]]


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd", "identity", "x"])
async def test_no_body_is_encoded(reader: Reader, encoding: str) -> None:
    body = gzip.compress(b"a=b") if encoding == "gzip" else b"a=b"
    status, text = await reader.post(body, Content_Encoding=encoding)
    assert (status, "Content-Encoding" in text) == (415, True)


@pytest.mark.parametrize(
    "body",
    [
        b"a=\xff",
        b"a=\xc3\xbc",
        b"a=%ff",
        b"a=%ED%A0%80",
        b"a=+2AA-%c3",
        b"a",
        b"a=b&&c=d",
        b"&" * 5000,
        b"&".join(b"a=b" for _ in range(MAX_FIELDS + 1)),
    ],
)
async def test_what_has_no_reading_is_refused(reader: Reader, body: bytes) -> None:
    assert (await reader.post(body))[0] == 400


async def test_a_form_is_bounded(reader: Reader) -> None:
    assert (await reader.post(b"a=" + b"b" * (LIMIT - 2)))[0] == 200
    assert (await reader.post(b"a=" + b"b" * (LIMIT - 1)))[0] == 413


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (b"\r\nContent-Length: 100\r\n\r\n", b"a=b"),
        (b"\r\nTransfer-Encoding: chunked\r\n\r\n", b"3\r\na=b\r\n"),
    ],
)
async def test_a_form_that_breaks_off_is_refused(reader: Reader, head: bytes, body: bytes) -> None:
    await reader.break_off(head, body)
    assert isinstance(reader.read[0], BadRequest)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(body: bytes) -> None:
    try:
        fields = form_fields(body)
    except (BadRequest, PayloadTooLarge):
        return
    for name, value in fields:
        (name + value).encode()  # What cannot be written cannot be logged or compared either.


@given(st.lists(st.tuples(st.text(max_size=9), st.text(max_size=20)), max_size=MAX_FIELDS))
def test_what_was_written_is_what_is_read(pairs: list[tuple[str, str]]) -> None:
    assert list(form_fields(urlencode(pairs).encode())) == pairs

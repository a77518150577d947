"""The agent that stands where a browser would."""

import asyncio
import sys

import pytest

from kzproxy.demo.page_agent import PageAgentFailure, main, press_through


async def test_it_signs_in_and_leaves_the_answer_to_the_caller(talk):
    request = talk.http.build_request(
        "GET", talk.metadata["authorization_endpoint"], params=talk.authorization()
    )
    answer = await press_through(talk.http, str(request.url), "guest")
    assert answer.startswith("http://127.0.0.1:39251/callback?code=")


async def test_it_says_where_it_ended(talk, idp):
    request = talk.http.build_request(
        "GET", talk.metadata["authorization_endpoint"], params=talk.authorization()
    )
    with pytest.raises(PageAgentFailure, match="/authorize has no button for 'root'"):
        await press_through(talk.http, str(request.url), "root")
    with pytest.raises(PageAgentFailure, match="/authorize answered 400"):
        await press_through(talk.http, f"{idp.issuer}/authorize?state=secret", "guest")


async def test_as_a_command_it_brings_the_answer_to_the_waiting_client(talk, loopback_certificate):
    asked = asyncio.get_running_loop().create_future()

    async def client(reader, writer):
        asked.set_result(await reader.readline())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(client, "127.0.0.1", 0) as waiting:
        port = waiting.sockets[0].getsockname()[1]
        request = talk.http.build_request(
            "GET",
            talk.metadata["authorization_endpoint"],
            params=talk.authorization(redirect_uri=f"http://127.0.0.1:{port}/callback"),
        )
        agent = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "kzproxy.demo.page_agent", "--user", "operator"),
            *("--ca", str(loopback_certificate.ca_file), str(request.url)),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert await agent.communicate() == (b"", b"")
        assert agent.returncode == 0
    assert (await asked).startswith(b"GET /callback?code=")


def test_a_failure_is_one_line_without_the_query(loopback_certificate, capsys):
    url = "https://127.0.0.1:1/authorize?state=secret"
    ca = str(loopback_certificate.ca_file)
    assert main(["--user", "guest", "--ca", ca, url]) == 1
    err = capsys.readouterr().err
    assert err.startswith("demo sign-in as guest: ")
    assert err.count("\n") == 1
    assert "secret" not in err

from aiohttp.test_utils import TestClient
from pytest_aiohttp import AiohttpClient

from kzproxy.metrics.registry import Metrics
from kzproxy.web.ops import OpsApplication, check_parser


async def client_of(aiohttp_client: AiohttpClient, checks: dict[str, str | None]) -> TestClient:
    return await aiohttp_client(OpsApplication(Metrics("1.2.3"), lambda: checks).build())


async def test_livez_answers_whatever_else_is_wrong(aiohttp_client: AiohttpClient) -> None:
    client = await client_of(aiohttp_client, {"issuer-keys": "not fetched yet"})
    answer = await client.get("/livez")

    assert (answer.status, await answer.text()) == (200, "ok\n")


async def test_readyz_says_what_is_wrong(aiohttp_client: AiohttpClient) -> None:
    client = await client_of(aiohttp_client, {"serving": None, "issuer-keys": "not fetched yet"})
    answer = await client.get("/readyz")

    assert answer.status == 503
    assert await answer.json() == {
        "ready": False,
        "checks": {"serving": "ok", "issuer-keys": "not fetched yet"},
    }


async def test_readyz_is_ok_when_all_is(aiohttp_client: AiohttpClient) -> None:
    answer = await (await client_of(aiohttp_client, {"serving": None})).get("/readyz")

    assert answer.status == 200


async def test_readyz_shows_notices_and_stays_ready(aiohttp_client: AiohttpClient) -> None:
    application = OpsApplication(
        Metrics("1"), lambda: {"serving": None}, lambda: {"configuration": "policy.yaml:1: bad"}
    )
    answer = await (await aiohttp_client(application.build())).get("/readyz")

    assert answer.status == 200
    assert await answer.json() == {
        "ready": True,
        "checks": {"serving": "ok", "configuration": "policy.yaml:1: bad"},
    }


async def test_metrics_are_in_the_prometheus_format(aiohttp_client: AiohttpClient) -> None:
    answer = await (await client_of(aiohttp_client, {})).get("/metrics")

    assert answer.headers["content-type"].startswith("text/plain")
    assert 'kzproxy_build_info{version="1.2.3"} 1.0' in await answer.text()


async def test_E6_12_no_other_path_is_served(aiohttp_client: AiohttpClient) -> None:
    client = await client_of(aiohttp_client, {})

    for path in ("/", "/api", "/api/v1/secrets", "/livez/", "/livez/../api", "/version"):
        assert (await client.get(path)).status == 404, path


def test_the_c_parser_is_in_use() -> None:
    check_parser()

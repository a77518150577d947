import json
from collections.abc import Mapping

from kzproxy.metrics.registry import Metrics
from kzproxy.web.ops import OpsDocuments
from kzproxy.web.ops_server import Show, Shown


def documents_of(checks: dict[str, str | None]) -> Mapping[str, Show]:
    return OpsDocuments(Metrics("1.2.3"), lambda: checks).by_path()


async def shown_at(path: str, checks: dict[str, str | None]) -> Shown:
    return await documents_of(checks)[path]()


async def test_livez_answers_whatever_else_is_wrong() -> None:
    answer = await shown_at("/livez", {"issuer-keys": "not fetched yet"})

    assert (answer.status, answer.body) == (200, b"ok\n")


async def test_readyz_says_what_is_wrong() -> None:
    answer = await shown_at("/readyz", {"serving": None, "issuer-keys": "not fetched yet"})

    assert answer.status == 503
    assert json.loads(answer.body) == {
        "ready": False,
        "checks": {"serving": "ok", "issuer-keys": "not fetched yet"},
    }


async def test_readyz_is_ok_when_all_is() -> None:
    assert (await shown_at("/readyz", {"serving": None})).status == 200


async def test_readyz_shows_notices_and_stays_ready() -> None:
    documents = OpsDocuments(
        Metrics("1"), lambda: {"serving": None}, lambda: {"configuration": "policy.yaml:1: bad"}
    )
    answer = await documents.by_path()["/readyz"]()

    assert answer.status == 200
    assert json.loads(answer.body) == {
        "ready": True,
        "checks": {"serving": "ok", "configuration": "policy.yaml:1: bad"},
    }


async def test_metrics_are_in_the_prometheus_format() -> None:
    answer = await shown_at("/metrics", {})

    assert answer.content_type.startswith("text/plain; version=")
    assert b'kzproxy_build_info{version="1.2.3"} 1.0' in answer.body


def test_E6_12_no_other_path_is_served() -> None:
    assert set(documents_of({})) == {"/livez", "/readyz", "/metrics"}

import pytest

from tests.cluster.request_info_oracle import RequestInfoOracle

pytestmark = pytest.mark.cluster


def test_the_oracle_decodes_before_it_splits(request_info_oracle: RequestInfoOracle):
    answer = request_info_oracle.ask("GET", "/api/v1/namespaces/a%2Fconfigmaps%2Fc1")
    assert (answer.verb, answer.namespace, answer.resource, answer.name) == (
        "get",
        "a",
        "configmaps",
        "c1",
    )


def test_the_oracle_keeps_selectors_as_sent(request_info_oracle: RequestInfoOracle):
    answer = request_info_oracle.ask(
        "GET", "/apis/apps/v1/deployments?fieldSelector=metadata.name%3Dx&labelSelector=a%3Db"
    )
    assert (answer.verb, answer.name, answer.field_selector, answer.label_selector) == (
        "list",
        "x",
        "metadata.name=x",
        "a=b",
    )


def test_the_oracle_survives_any_bytes(request_info_oracle: RequestInfoOracle):
    for line in (b"", b"\n", b"GET", b"GET /\r\nX: y", b"GET /%ff", bytes(range(256))):
        request_info_oracle.ask_line(line)
    assert request_info_oracle.ask("GET", "/healthz").path == "/healthz"


def test_the_oracle_tells_an_http_error_from_a_request_info_error(
    request_info_oracle: RequestInfoOracle,
):
    assert request_info_oracle.ask("GET", "/%zz").http_error
    assert request_info_oracle.ask("GET", "/api/v1/watch").request_info_error

"""Which headers of an answer may be relayed."""

from kzproxy.http.hop_by_hop import end_to_end


def test_framing_and_connection_headers_are_not_relayed():
    headers = (
        ("content-type", "application/json"),
        ("connection", "Close, X-Hop\t"),
        ("connection", "x-other"),
        ("keep-alive", "timeout=5"),
        ("x-hop", "1"),
        ("x-other", "2"),
        ("content-length", "5"),
        ("transfer-encoding", "chunked"),
        ("upgrade", "h2c"),
        ("warning", "299"),
        ("warning", "299 again"),
    )
    assert end_to_end(headers) == (
        ("content-type", "application/json"),
        ("warning", "299"),
        ("warning", "299 again"),
    )

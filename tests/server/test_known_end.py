"""Kubectl prints that access ends before long."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import yaml

from tests.proxy.issuer_thread import issuer_in_thread
from tests.proxy.process import running_proxy
from tests.proxy.world import POLICY, PREFIX, World, configuration, request
from tests.servers.authority import Authority
from tests.servers.scripted_api_server import scripted_api_server


def test_an_answer_shortly_before_the_end_of_a_window_says_so(tmp_path: Path) -> None:
    ends = (datetime.now(UTC) + timedelta(minutes=4)).replace(second=0, microsecond=0)
    days = sorted({f"{moment:%a}" for moment in (ends - timedelta(hours=1), ends)})
    window = {"days": days, "from": f"{ends - timedelta(hours=1):%H:%M}", "to": f"{ends:%H:%M}"}
    rule = {
        "id": "shift",
        "effect": "allow",
        "subjects": {"groups": [f"{PREFIX}shift"]},
        "match": [{"verbs": ["get"], "nonResourceURLs": ["/version"]}],
        "conditions": {"time": ["shift"]},
    }
    policy = POLICY | {
        "calendars": {"shift": {"timeZone": "UTC", "weekly": [window]}},
        "rules": [*POLICY["rules"], rule],
    }
    authority = Authority.root()
    with (
        issuer_in_thread(tmp_path, authority) as issuer,
        scripted_api_server(tmp_path, authority) as api_server,
    ):
        settings = configuration(tmp_path, authority, issuer, api_server.upstream())
        (tmp_path / "policy.yaml").write_text(yaml.safe_dump(policy))
        with running_proxy(tmp_path, settings) as proxy:
            world = World(tmp_path, authority, issuer, proxy)
            with world.client() as client:
                told = client.ask(request("GET", "/version", world.token("ana", "shift")))
                other = client.ask(request("GET", "/version", world.token("ben", "testers")))
    assert told.status == other.status == 200
    (warning,) = told.headers["warning"]
    assert warning.startswith('299 kzproxy "rule shift permits this for ')
    assert "warning" not in other.headers

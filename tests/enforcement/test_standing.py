import msgspec
from msgspec.structs import replace

from kzproxy.administrator.lease import caller_of
from kzproxy.attributes.device import NO_DEVICE
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.attributes.request_info_memo import RequestInfoMemo
from kzproxy.audit.records import recorded_caller
from kzproxy.authentication.token_memory import token_digest
from kzproxy.enforcement.standing import RememberedPermit, Standing, StandingKey, Standings
from kzproxy.http.encode import EncodedHeaders
from kzproxy.policy.decision import Permit
from kzproxy.upstream.impersonation import Impersonation
from tests.audit.samples import permit_record
from tests.memory import held_bytes
from tests.policy.samples import allow, asked, decide, match, subject
from tests.proxy.fixtures import Scripted
from tests.proxy.world import request

ADDRESS = "192.0.2.7"
CONFIGMAPS = "/api/v1/namespaces/a/configmaps"


def standing() -> Standing:
    return Standing(
        token_digest=token_digest("secret-token"),
        identity=subject(),
        device=NO_DEVICE,
        session_id="s",
        authorization="Bearer ours",
        impersonation=Impersonation(subject(), EncodedHeaders()),
        recorded=recorded_caller(subject(), NO_DEVICE, "s"),
        caller=caller_of(subject(), "s"),
    )


def keep(standings: Standings, kept: Standing, target: str) -> Permit:
    decision = decide([allow("all", match("*", "*"))], asked("GET", target))
    assert isinstance(decision, Permit)
    standings.keep_permit(kept, decision, permit_record(), target, is_plain=True)
    return decision


def remembered(kept: Standing, method: str, target: str) -> RememberedPermit | None:
    return kept.permitted(RequestInfo.parse(method, target), target)


def key(number: int, size: int = 10) -> StandingKey:
    return ((("x", f"{number:0{size}}"),), ADDRESS, "")


def test_a_permit_is_kept_by_what_was_asked() -> None:
    kept, standings = standing(), Standings()
    first = keep(standings, kept, "/api/v1/namespaces/n/pods")
    found = remembered(kept, "GET", "/api/v1/namespaces/n/pods")

    assert found is not None
    assert found.permit is first
    assert remembered(kept, "DELETE", "/api/v1/namespaces/n/pods") is None
    assert remembered(kept, "GET", "/api/v1/namespaces/n/secrets") is None


def test_a_permit_of_another_spelling_is_not_taken_since_its_record_tells_the_spelling() -> None:
    kept, standings = standing(), Standings()
    keep(standings, kept, "/api/v1/namespaces/n/pods")

    assert remembered(kept, "GET", "/api/v1/namespaces/%6e/pods") is None


def test_what_is_remembered_is_bounded_in_bytes() -> None:
    standings = Standings(max_bytes=1024 * 1024)
    many = 0
    for number in range(1000):
        standings.keep(key(number), standing())
        many = max(many, len(standings))
    for number in range(1000):
        standings.keep(key(number, 64 * 1024), standing())

    assert 50 < many < 130
    assert len(standings) < 10


def test_permits_weigh_too_and_are_forgotten_with_the_rest() -> None:
    standings, kept = Standings(max_bytes=1024 * 1024), standing()
    standings.keep(key(0), kept)
    for number in range(1000):
        keep(standings, kept, f"/api/v1/namespaces/n{number}/pods")

    assert 0 < len(kept.permits) < 400
    assert standings.get(key(0)) is None


def test_no_secret_prints() -> None:
    standings = Standings()
    standings.keep(((("authorization", "Bearer secret-token"),), ADDRESS, ""), standing())

    assert "secret-token" not in repr(standings) + repr(standing())
    assert "Bearer ours" not in repr(standing())


def test_a_device_is_not_remembered_for_a_connection_without_it(scripted: Scripted) -> None:
    world = scripted.world
    asked_for = request("GET", CONFIGMAPS, world.token("dev", "enrolled"))
    with world.client(certificate=world.device("remembered")) as client:
        assert [client.ask(asked_for).status for _ in range(3)] == [200] * 3
    with world.client() as client:
        assert [client.ask(asked_for).status for _ in range(3)] == [403] * 3


def test_each_caller_goes_upstream_as_itself_however_they_mix(scripted: Scripted) -> None:
    world = scripted.world
    users = [f"mixed-{number}" for number in range(5)]
    tokens = {user: world.token(user, "testers") for user in users}
    with world.client() as client:
        for turn in range(40):
            user = users[turn * 7 % 5]
            target = f"/api/v1/namespaces/n{turn % 3}/pods"
            assert client.ask(request("GET", target, tokens[user])).status == 200
            head = scripted.api_server.heads[-1]
            assert f"impersonate-user: t:{user}\r\n".encode() in head
            assert head.startswith(f"GET {target} HTTP/1.1\r\n".encode())


def test_each_spelling_of_a_target_is_in_its_own_record(scripted: Scripted) -> None:
    world = scripted.world
    token = world.token("spelling", "testers")
    spellings = [CONFIGMAPS, "/api/v1/namespaces/%61/configmaps"] * 2
    with world.client() as client:
        ids = [client.ask(request("GET", each, token)).audit_id for each in spellings]

    records = [world.proxy.records_of(each)[0]["request"] for each in ids]
    assert [record["target"] for record in records] == [CONFIGMAPS] * 4
    assert [record.get("received_target", "") for record in records] == ["", spellings[1]] * 2


def test_every_request_has_an_audit_id_and_a_record_of_its_own(scripted: Scripted) -> None:
    world = scripted.world
    asked_for = request("GET", CONFIGMAPS, world.token("own", "testers"))
    with world.client() as client:
        ids = [client.ask(asked_for).audit_id for _ in range(5)]

    assert len(set(ids)) == 5
    times = [world.proxy.finished(audit_id)[0]["received_at"] for audit_id in ids]
    assert times == sorted(set(times))


def test_a_token_that_ends_is_not_remembered_past_its_end(scripted: Scripted) -> None:
    world = scripted.world
    asked_for = request("GET", CONFIGMAPS, world.token("short", "testers", seconds=6))
    with world.client() as client:
        assert client.ask(asked_for).status == 200
        while (last := client.ask(asked_for)).status == 200:
            pass

    assert last.status == 401


def test_permits_of_many_callers_for_the_same_weigh_what_they_take_together() -> None:
    infos, max_bytes = RequestInfoMemo(), 2 * 1024 * 1024
    permit = decide([allow("all", match("*", "*"))], asked("GET", CONFIGMAPS))
    assert isinstance(permit, Permit)
    most = 0

    def filled() -> Standings:
        nonlocal most
        standings = Standings(max_bytes=max_bytes)
        for number in range(40):
            standings.keep(key(number), kept := standing())
            for target in (f"/api/v1/namespaces/n{n}/pods" for n in range(50)):
                facts = replace(permit.attributes, request=infos.parse("GET", target))
                one = msgspec.structs.replace(permit, attributes=facts)
                standings.keep_permit(kept, one, permit_record(), target, is_plain=True)
                most = max(most, len(standings))
            if len(standings) < most:  # All was forgotten, and now it is nearly full again.
                break
        return standings

    assert held_bytes(filled) < max_bytes
    assert 15 < most < 40


def test_permits_of_long_queries_weigh_what_they_take() -> None:
    query = "&".join(["ab=cd"] * 1300)

    def filled() -> Standings:
        standings, kept = Standings(max_bytes=8 * 1024 * 1024), standing()
        standings.keep(key(0), kept)
        for number in range(120):
            keep(standings, kept, f"/api/v1/namespaces/n{number}/pods?{query}")
        return standings

    assert held_bytes(filled) < 16 * 1024 * 1024

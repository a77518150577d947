"""Request targets with two readings (P1-P20): kube-apiserver must not do what was not judged.

Each attacker's policy denies what kube-apiserver would do with the crooked target. Where a row says
what the plain spelling of that is, the plain one is sent first, and policy denies it.
"""

import json
import string
from typing import NamedTuple

import pytest

from tests.attacks.front import SECRET, A, B, Front
from tests.attacks.trial import Trial, assert_same_request
from tests.proxy.fixtures import Scripted
from tests.proxy.world import request

pytestmark = pytest.mark.cluster

_A = f"/api/v1/namespaces/{A}"
_B = f"/api/v1/namespaces/{B}"
_SERVICES = f"{_A}/services"


class Crooked(NamedTuple):
    """A target that is refused, and what its sender may not do plainly."""

    groups: tuple[str, ...]
    method: str
    target: str
    plain: str = ""
    message: str = ""


def _rows(**rows: Crooked) -> list[object]:
    return [pytest.param(row, id=name.replace("_", "-")) for name, row in rows.items()]


NO_CONFIGMAPS = ("full", "no-a-configmaps")
NO_SECRETS = ("full", "no-b-secrets")
URLS = ("url-reader",)

CROOKED = _rows(
    # A parser of raw segments sees a namespace of an odd name; kube-apiserver lists.
    P1_list=Crooked(
        NO_CONFIGMAPS, "GET", "/api/v1/namespaces/attacks-a%2Fconfigmaps", f"{_A}/configmaps"
    ),
    P1_get=Crooked(
        NO_CONFIGMAPS,
        "GET",
        "/api/v1/namespaces/attacks-a%2fconfigmaps%2fc1",
        f"{_A}/configmaps/c1",
    ),
    P1_whole_path=Crooked(
        URLS, "GET", "/api%2Fv1%2Fnamespaces%2Fattacks-b%2Fsecrets%2Fs1", f"{_B}/secrets/s1"
    ),
    P1_backslash=Crooked(NO_SECRETS, "GET", f"{_B}%5Csecrets%5Cs1", f"{_B}/secrets/s1"),
    P1_encoded_percent=Crooked(NO_SECRETS, "GET", f"{_B}%252Fsecrets", f"{_B}/secrets"),
    # A parser that merges slashes sees the namespace "secrets"; kube-apiserver lists all of them.
    P2_all_namespaces=Crooked(
        ("namespace-reader",), "GET", "/api/v1/namespaces//secrets", "/api/v1/secrets"
    ),
    P2_all_namespaces_named=Crooked(
        ("namespace-reader",), "GET", "/api/v1/namespaces//secrets/s1", f"{_B}/secrets/s1"
    ),
    P2_after_the_prefix=Crooked(NO_SECRETS, "GET", "/api//v1/namespaces/attacks-b/secrets"),
    P2_before_the_namespace=Crooked(NO_SECRETS, "GET", "/api/v1//namespaces/attacks-b/secrets"),
    P2_before_the_resource=Crooked(NO_SECRETS, "GET", f"{_B}//secrets"),
    P2_before_the_name=Crooked(NO_SECRETS, "GET", f"{_B}/secrets//s1"),
    # "Delete one" to a parser that counts segments, all of them to kube-apiserver.
    P3_slash=Crooked(
        ("deleter",), "DELETE", f"{_B}/secrets/?dryRun=All", f"{_B}/secrets?dryRun=All"
    ),
    P3_two_slashes=Crooked(("deleter",), "DELETE", f"{_B}/secrets//?dryRun=All"),
    P3_slash_and_encoded=Crooked(("deleter",), "DELETE", f"{_B}/secrets/%2F?dryRun=All"),
    P3_encoded=Crooked(("deleter",), "DELETE", f"{_B}/secrets%2F?dryRun=All"),
    P3_reading=Crooked(("s2-reader",), "GET", f"{_B}/secrets/", f"{_B}/secrets"),
    # What stops at "#" sees a harmless path; Go does not stop there.
    P4_harmless_path=Crooked(URLS, "GET", f"/livez#/..{_B}/secrets/s1", f"{_B}/secrets/s1"),
    P4_behind_a_name=Crooked(("s2-reader",), "GET", f"{_B}/secrets/s2#/../s1", f"{_B}/secrets/s1"),
    P4_in_the_query=Crooked(("lister",), "GET", f"{_B}/secrets?x=#&watch=1"),
    P5_absolute_form=Crooked(
        NO_SECRETS, "GET", f"http://evil.example{_B}/secrets/s1", f"{_B}/secrets/s1"
    ),
    P5_absolute_form_of_this_host=Crooked(NO_SECRETS, "GET", f"https://p{_B}/secrets/s1"),
    P5_authority_form=Crooked(("full",), "CONNECT", "evil.example:443"),
    P5_asterisk_form=Crooked(("full",), "OPTIONS", "*"),
    P5_second_slash=Crooked(URLS, "GET", f"/{_B}/secrets/s1"),
    P5_host_in_the_path=Crooked(URLS, "GET", f"//evil.example{_B}/secrets"),
    P6_twice=Crooked(("lister",), "GET", f"{_B}/secrets?watch=false&watch=true"),
    P6_twice_true_first=Crooked(
        ("lister",), "GET", f"{_B}/secrets?watch=true&watch=false", f"{_B}/secrets?watch=true"
    ),
    P6_twice_encoded=Crooked(("lister",), "GET", f"{_B}/secrets?watch=0&%77atch=1"),
    # Go drops these pairs and lists; Python keeps them.
    P7_semicolon=Crooked(("lister",), "GET", f"{_B}/secrets?watch=true;x=1"),
    P7_semicolon_before=Crooked(("lister",), "GET", f"{_B}/secrets?x=1;watch=true"),
    P7_bad_escape=Crooked(("lister",), "GET", f"{_B}/secrets?watch=%zz"),
    P7_selector_that_go_drops=Crooked(
        ("s2-reader",), "GET", f"{_B}/secrets?fieldSelector=metadata.name%3Ds2;", f"{_B}/secrets"
    ),
    P7_selector_with_a_bad_escape=Crooked(
        ("s2-reader",), "GET", f"{_B}/secrets?fieldSelector=metadata.name%3Ds2%2", f"{_B}/secrets"
    ),
    # A client library would resolve these on the way; what was judged would not be what is sent.
    P8_dot_segments=Crooked(NO_CONFIGMAPS, "GET", f"{_B}/../{A}/configmaps", f"{_A}/configmaps"),
    P8_encoded_dot_segments=Crooked(NO_CONFIGMAPS, "GET", f"{_B}/%2e%2E/{A}/configmaps"),
    P8_dot_segments_from_a_url=Crooked(URLS, "GET", f"/livez/..{_B}/secrets"),
    P9_latin_1=Crooked(NO_SECRETS, "GET", f"{_B}/secrets/%E9"),
    P9_utf_8=Crooked(NO_SECRETS, "GET", f"{_B}/secrets/%C3%A9"),
    P9_raw_byte=Crooked(NO_SECRETS, "GET", f"{_B}/secrets/\xe9"),
    P9_nul=Crooked(("s2-reader",), "GET", f"{_B}/secrets/s2%00", f"{_B}/secrets/s1"),
    P9_line_end=Crooked(("s2-reader",), "GET", f"{_B}/secrets/s2%0d%0a"),
    P10_lower_case=Crooked(("full",), "get", f"{_A}/configmaps"),
    P10_mixed_case=Crooked(("full",), "Get", f"{_A}/configmaps"),
    P11_control_byte=Crooked(("full",), "GET", f"{_SERVICES}/s/proxy/a%0d%0aX:"),
    P11_fragment=Crooked(("full",), "GET", f"{_SERVICES}/s/proxy/pub#/../adm"),
    P11_slashes_before_proxy=Crooked(("full", "no-service-x"), "GET", f"{_SERVICES}//x/proxy/a"),
    P11_dot_segments_before_proxy=Crooked(
        ("full", "no-service-x"), "GET", f"{_SERVICES}/s/../x/proxy/a", f"{_SERVICES}/x/proxy/a"
    ),
    P12_four_parts=Crooked(("full", "no-service-x"), "GET", f"{_SERVICES}/https:x:443:/proxy/a"),
    P12_unknown_scheme=Crooked(("full", "no-service-x"), "GET", f"{_SERVICES}/ftp:x:1/proxy/a"),
    P14_list=Crooked(("full",), "LIST", f"{_A}/configmaps"),
    P14_trace=Crooked(("full",), "TRACE", f"{_A}/configmaps"),
    P14_options=Crooked(("full",), "OPTIONS", f"{_A}/configmaps"),
    P14_options_to_a_backend=Crooked(("full",), "OPTIONS", f"{_SERVICES}/s/proxy/a"),
    P19_twice=Crooked(
        ("s2-reader",),
        "GET",
        f"{_B}/secrets?fieldSelector=metadata.name%3Ds2&fieldSelector=metadata.name%3Ds1",
        f"{_B}/secrets?fieldSelector=metadata.name%3Ds1",
    ),
    P19_undecodable_options=Crooked(
        ("s2-reader",), "GET", f"{_B}/secrets?fieldSelector=metadata.name%3Ds2&timeoutSeconds=abc"
    ),
    P20_encoded_slash=Crooked(
        ("full", "no-metrics"),
        "GET",
        "/apis/metrics.k8s.io%2Fv1beta1/nodes",
        "/apis/metrics.k8s.io/v1beta1/nodes",
    ),
    P20_slashes=Crooked(("full", "no-metrics"), "GET", "/apis//metrics.k8s.io/v1beta1/nodes"),
)


@pytest.mark.parametrize("row", CROOKED)
def test_a_crooked_target_is_refused(front: Front, trial: Trial, row: Crooked) -> None:
    token = front.token("mallory", *row.groups)
    if row.plain:
        plain = Trial(front)
        plain.denied(plain.send(request(row.method, row.plain, token)))
        trial = Trial(front)
    answer = trial.send(request(row.method, row.target, token))

    trial.refused(answer, 400, "bad-request", row.message)


LEGACY = [
    pytest.param(f"/api/v1/watch/namespaces/{B}/secrets", id="P13-watch"),
    pytest.param(f"/api/v1/watch/namespaces/{B}/secrets/s1", id="P13-watch-of-one"),
    pytest.param(f"/api/v1/w%61tch/namespaces/{B}/secrets", id="P13-watch-encoded"),
    pytest.param("/api/v1/watch", id="P13-watch-alone"),
    pytest.param("/api/v1/proxy", id="P13-proxy-alone"),
    pytest.param(f"/api/v1/proxy/namespaces/{A}/services/x/adm", id="P13-proxy"),
]


@pytest.mark.parametrize("target", LEGACY)
def test_a_legacy_prefix_is_not_served(front: Front, trial: Trial, target: str) -> None:
    answer = trial.send(request("GET", target, front.token("mallory", "lister")))

    trial.refused(answer, 404, "not-served")


@pytest.mark.parametrize(
    ("method", "target"),
    [
        pytest.param("GET", "/api/v1/watch", id="P13-watch-alone"),
        pytest.param("GET", "/api/v1/proxy", id="P13-proxy-alone"),
        pytest.param("OPTIONS", "*", id="P5-asterisk-form"),
    ],
)
def test_what_kube_apiserver_would_not_audit_does_not_leave_kzproxy(
    scripted: Scripted, method: str, target: str
) -> None:
    """The audit log cannot judge these: kube-apiserver answers them without an event."""
    with scripted.world.client() as client:
        answer = client.ask(request(method, target, scripted.world.token("al", "testers")))

    assert answer.status in {400, 404}
    assert scripted.api_server.heads == []


WATCHES = [
    pytest.param("watch", id="P6-bare"),
    pytest.param("watch=", id="P6-empty"),
    pytest.param("watch=1", id="P6-one"),
    pytest.param("watch=no", id="P6-no"),
    pytest.param("watch=00", id="P6-two-zeros"),
    pytest.param("watch=TRUE", id="P6-capitals"),
    pytest.param("watch=+false", id="P6-blank-before"),
    pytest.param("watch=false+", id="P6-blank-after"),
    pytest.param("wa%74ch=true", id="P6-encoded-key"),
    pytest.param("%77atch=1", id="P6-encoded-first-letter"),
    pytest.param("watch=%74rue", id="P6-encoded-value"),
]
LISTS = [
    pytest.param("watch=0", id="P6-zero"),
    pytest.param("watch=False", id="P6-false"),
    pytest.param("watch=FALSE", id="P6-false-in-capitals"),
    pytest.param("Watch=true", id="P6-another-key"),
]


@pytest.mark.parametrize("query", WATCHES)
def test_every_spelling_of_a_watch_is_judged_as_one(front: Front, trial: Trial, query: str) -> None:
    asked = request("GET", f"{_B}/secrets?{query}", front.token("mallory", "lister"))
    assert trial.denied(trial.send(asked))["request"]["verb"] == "watch"

    allowed = Trial(front)
    with allowed.client() as client:
        client.send(request("GET", f"{_B}/secrets?{query}", front.token("alice", "full")))
        status, headers = client.head()
        (audit_id,) = headers["audit-id"]
        (record,) = allowed.decisions()
        assert (status, record["request"]["stream"]) == (200, "watch")
        (stages,) = allowed.upstream().values()
    assert stages[-1]["auditID"] == audit_id
    assert stages[-1]["verb"] == "watch"
    assert_same_request(record["request"], stages[-1])


@pytest.mark.parametrize("query", LISTS)
def test_every_spelling_of_no_watch_is_judged_as_a_list(
    front: Front, trial: Trial, query: str
) -> None:
    answer = trial.send(request("GET", f"{_B}/secrets?{query}", front.token("lisa", "lister")))

    assert answer.status == 200
    assert trial.permitted(answer, "lisa")["verb"] == "list"


class Spelt(NamedTuple):
    """A target that is forwarded, and as what."""

    target: str
    forwarded: str
    verb: str = "get"
    groups: tuple[str, ...] = ("full",)
    method: str = "GET"


SPELT = _rows(
    P8_letters=Spelt(f"/%61pi/v1/namespaces/{B}/%73ecrets/s2", f"{_B}/secrets/s2"),
    P8_query=Spelt(
        f"{_B}/secrets?l%69mit=1&labelSelector=a%3db",
        f"{_B}/secrets?limit=1&labelSelector=a%3Db",
        "list",
    ),
    P8_blank=Spelt(
        f"{_B}/secrets?labelSelector=a%20in%20(b)",
        f"{_B}/secrets?labelSelector=a+in+%28b%29",
        "list",
    ),
    P8_question_mark=Spelt(f"{_B}/secrets/s2?", f"{_B}/secrets/s2"),
    P8_url=Spelt("/%76ersion", "/version"),
    P17_head_of_one=Spelt(f"{_B}/secrets/s2", f"{_B}/secrets/s2", method="HEAD"),
    P17_head_of_all=Spelt(f"{_B}/secrets", f"{_B}/secrets", "list", method="HEAD"),
    P19_one_by_selector=Spelt(
        f"{_B}/secrets?fieldSelector=metadata.name%3Ds2",
        f"{_B}/secrets?fieldSelector=metadata.name%3Ds2",
        "list",
        ("s2-reader",),
    ),
    P19_one_by_selector_among_terms=Spelt(
        f"{_B}/secrets?fieldSelector=type%21%3Dx%2Cmetadata.name%3D%3Ds2",
        f"{_B}/secrets?fieldSelector=type%21%3Dx%2Cmetadata.name%3D%3Ds2",
        "list",
        ("s2-reader",),
    ),
    P20_aggregated=Spelt(
        "/apis/metrics.k8s%2eio/v1beta1/n%6fdes", "/apis/metrics.k8s.io/v1beta1/nodes", "list"
    ),
    # The backend's own part: kube-apiserver hands it on as it is, and so does kzproxy.
    P11_dot_segments=Spelt(f"{_SERVICES}/s/proxy/pub/../adm", f"{_SERVICES}/s/proxy/pub/../adm"),
    P11_slashes=Spelt(f"{_SERVICES}/s/proxy//a//b", f"{_SERVICES}/s/proxy//a//b"),
    P11_encoded_slash=Spelt(f"{_SERVICES}/s/proxy/a%2F..%2fb", f"{_SERVICES}/s/proxy/a%2F..%2fb"),
    P12_scheme_and_port=Spelt(
        f"{_SERVICES}/https:s:443/proxy/a", f"{_SERVICES}/https:s:443/proxy/a"
    ),
)


@pytest.mark.parametrize("row", SPELT)
def test_what_is_forwarded_is_what_was_judged(front: Front, trial: Trial, row: Spelt) -> None:
    answer = trial.send(request(row.method, row.target, front.token("alice", *row.groups)))
    event = trial.permitted(answer, "alice")

    assert event["verb"] == row.verb
    assert event["requestURI"] == row.forwarded
    assert event["responseStatus"]["code"] == answer.status


class Reached(NamedTuple):
    """A spelling that kube-apiserver understands, of something that a rule denies by name."""

    groups: tuple[str, ...]
    target: str
    rule: str = ""
    method: str = "GET"
    body: bytes = b""


def _named(kind: str, name: str) -> bytes:
    metadata = {"name": name} if name else {"generateName": "g"}
    return json.dumps({"apiVersion": "v1", "kind": kind, "metadata": metadata}).encode()


REACHED = _rows(
    P8_name=Reached(("full", "no-s1"), f"/%61pi/v1/namespaces/{B}/%73ecrets/%731", "no-s1"),
    P8_namespace=Reached(
        NO_CONFIGMAPS, "/api/v1/n%61mespaces/attacks%2da/configmaps/c1", "no-a-configmaps"
    ),
    P12_port=Reached(("full", "no-service-x"), f"{_SERVICES}/x:443/proxy/a", "no-service-x"),
    P12_scheme=Reached(
        ("full", "no-service-x"), f"{_SERVICES}/https:x:443/proxy/a", "no-service-x"
    ),
    P12_encoded_colons=Reached(
        ("full", "no-service-x"), f"{_SERVICES}/https%3Ax%3a443/proxy/a", "no-service-x"
    ),
    # Reading a service is one thing, talking through it another.
    P11_method_does_not_matter=Reached(
        ("full", "no-service-x"), f"{_SERVICES}/x/proxy/a", "no-service-x", "DELETE"
    ),
    P19_selected=Reached(
        ("full", "no-s1"), f"{_B}/secrets?fieldSelector=metadata.name%3Ds1", "no-s1"
    ),
    P19_selected_encoded=Reached(
        ("full", "no-s1"), f"{_B}/secrets?field%53elector=metadata%2ename%3D%3Ds1", "no-s1"
    ),
    P19_another_name_is_selected=Reached(
        ("s2-reader",), f"{_B}/secrets?fieldSelector=metadata.name%3Ds1"
    ),
    P19_not_that_name=Reached(("s2-reader",), f"{_B}/secrets?fieldSelector=metadata.name%21%3Ds2"),
    # kube-apiserver takes no name from the selector of a DELETE.
    P19_deletecollection=Reached(
        ("s2-deleter",),
        f"{_B}/secrets?dryRun=All&fieldSelector=metadata.name%3Ds2",
        method="DELETE",
    ),
    # A body is not read: a create has no name, and a rule by name can allow none.
    P18_name_in_the_body=Reached(
        ("named-creator",),
        f"{_A}/configmaps?dryRun=All",
        method="POST",
        body=_named("ConfigMap", "mine"),
    ),
    P18_generated_name=Reached(
        ("full", "no-s1"), f"{_B}/secrets?dryRun=All", "no-s1", "POST", _named("Secret", "")
    ),
    P18_denied_name_in_the_body=Reached(
        ("full", "no-s1"), f"{_B}/secrets?dryRun=All", "no-s1", "POST", _named("Secret", "s1")
    ),
    P20_group=Reached(
        ("full", "no-metrics"), "/apis/%6detrics%2ek8s.io/v1beta1/nodes", "no-metrics"
    ),
)


@pytest.mark.parametrize("row", REACHED)
def test_a_rule_is_not_escaped_by_another_spelling(
    front: Front, trial: Trial, row: Reached
) -> None:
    token = front.token("mallory", *row.groups)
    answer = trial.send(request(row.method, row.target, token, body=row.body))

    trial.denied(answer, row.rule)


def _spellings() -> list[str]:
    """Return mutations of the path to a secret: of every letter, and at every slash."""
    target = f"{_B}/secrets/s1"
    found = [f"{_B}/secrets", "/api/v1/secrets", f"{_B}/secrets?watch", target]
    for position, character in enumerate(target):
        before, after = target[:position], target[position + 1 :]
        found.append(f"{before}%{ord(character):02X}{after}")
        if character in string.ascii_lowercase:
            found.append(f"{before}{character.upper()}{after}")
        if character == "/":
            found += [f"{before}{inserted}{after}" for inserted in _AT_A_SLASH]
    found += [f"{target}{tail}" for tail in _AT_THE_END]
    # The same behind what the attacker may really read.
    found += [
        f"{_A}/configmaps/..{tail}" for tail in (f"/../{B}/secrets/s1", f"%2f..%2f{B}/secrets")
    ]
    found += [f"{_A}/configmaps?/../{B}/secrets", f"{_A}/configmaps#{_B}/secrets"]
    return found


_AT_A_SLASH = (
    "//",
    "/./",
    "/x/../",
    "%2f",
    "%252f",
    "%5c",
    "\\",
    ";/",
    "/;",
    "#/",
    "?/",
    "/%2e/",
    "%c0%af",
    "%ef%bc%8f",
    "/%09",
    "/*/",
)
_AT_THE_END = (
    "/",
    "//",
    "%2f",
    "#",
    "?",
    "?watch=1",
    ";",
    ";a=b",
    "%00",
    "%20",
    "%23",
    "/.",
    "/..",
    "/status",
    "?fieldSelector=a",
)


def test_P1_P2_P3_P4_P8_no_spelling_leads_past_a_namespaced_rule(
    front: Front, trial: Trial
) -> None:
    """Who may read configmaps in one namespace reads no secret in another, however it is spelt."""
    token = front.token("mallory", "a-reader")
    spellings = _spellings()
    answers = trial.send_each(request("GET", target, token) for target in spellings)

    assert len(set(spellings)) > 180
    permitted = {
        record["request"]["path"] for record in trial.decisions() if record["decision"] == "permit"
    }
    # The two spellings of what the rule does allow are forwarded as that.
    assert permitted == {f"{_A}/configmaps"}
    for stages in trial.upstream().values():
        assert stages[-1]["objectRef"]["resource"] == "configmaps"
        assert stages[-1]["objectRef"]["namespace"] == A
    assert len(trial.decisions()) == len(spellings)
    for target, answer in zip(spellings, answers, strict=True):
        assert SECRET.encode() not in answer.body, target
        assert answer.status in {200, 400, 403, 404}, target

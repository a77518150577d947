"""The records of the decision log as types: version 1 of their schema.

Within a version fields are only added; a reader must pass over those that it does not know. A
field whose value is empty is left out. ``docs/reference/decision-log.md`` explains every field and
``decision-log.schema.json`` beside it is made from these types; a test holds all three together.
"""

from datetime import datetime
from enum import StrEnum
from inspect import cleandoc
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from kzproxy.audit.chain import SCHEMA_VERSION

Hash = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
Time = Annotated[datetime, Meta(tz=True)]
Count = Annotated[int, Meta(ge=0)]
StatusCode = Annotated[int, Meta(ge=100, le=599)]


class Verdict(StrEnum):
    """What became of a request."""

    PERMIT = "permit"
    DENY = "deny"
    CHALLENGE = "challenge"
    REFUSED = "refused"


class Cause(StrEnum):
    """Why. The first six come from policy; most others name the error that a refusal was."""

    ALLOW_RULE = "allow-rule"
    NO_RULE = "no-rule"
    DENY_RULE = "deny-rule"
    RULE_ERROR = "rule-error"
    OBLIGATION = "obligation"
    SIGN_IN = "sign-in"
    OWN_ENDPOINT = "own-endpoint"
    BAD_REQUEST = "bad-request"
    HEAD_TOO_LARGE = "head-too-large"
    UNAUTHENTICATED = "unauthenticated"
    FORBIDDEN = "forbidden"
    NOT_SERVED = "not-served"
    EXPIRED = "expired"
    PAYLOAD_TOO_LARGE = "payload-too-large"
    EXPECTATION_FAILED = "expectation-failed"
    TOO_MANY_REQUESTS = "too-many-requests"
    INTERNAL_ERROR = "internal-error"
    UPSTREAM_INVALID = "upstream-invalid"
    SERVICE_UNAVAILABLE = "service-unavailable"
    UPSTREAM_TIMEOUT = "upstream-timeout"
    CLIENT_GONE = "client-gone"


class Termination(StrEnum):
    """How a request ended."""

    NORMAL = "normal"
    CLIENT_GONE = "client-gone"
    UPSTREAM_RESET = "upstream-reset"
    UPSTREAM_TIMEOUT = "upstream-timeout"
    UPSTREAM_REFUSED = "upstream-refused"
    REFUSED = "refused"
    POLICY_CUT = "policy-cut"
    DRAINED = "drained"
    ERROR = "error"


class ContinuedAfter(StrEnum):
    """What a ``resumed`` record comes after."""

    RESTART = "restart"
    ROTATION = "rotation"


class _Part(Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True):
    """A group of fields; empty ones are left out."""


class User(_Part, frozen=True, kw_only=True):
    """The subject, as its credential and the claim mappings name it."""

    name: str
    groups: tuple[str, ...] = ()
    groups_omitted: Count = 0
    uid: str = ""
    extra: dict[str, tuple[str, ...]] = {}
    method: str
    issuer: str
    subject: str
    session: str = ""
    expires_at: Time
    confirmation: str = ""
    authenticated_at: Time | None = None
    authentication_class: str = ""
    authentication_methods: tuple[str, ...] = ()
    issued_at: Time | None = None
    session_began_at: Time | None = None
    signed_in_from: str = ""
    seen_from: str = ""
    risk: str = ""


class Check(_Part, frozen=True, kw_only=True):
    """What was known of one thing about the device, and from when to when."""

    fact: str
    observed_at: Time
    expires_at: Time
    source: str = ""


class Device(_Part, frozen=True, kw_only=True):
    """The device posture that was judged."""

    enrolled: str
    id: str = ""
    thumbprint: str = ""
    reason: str = ""
    expires_at: Time | None = None
    state: str = ""
    owner: str = ""
    managed: str = "unknown"
    checks: dict[str, Check] = {}
    checks_omitted: Count = 0
    os: str = ""
    os_version: str = ""
    observed_at: Time | None = None
    risk: str = ""


class Source(_Part, frozen=True, kw_only=True):
    """Where it came from: the socket's peer, or for whom a load balancer is one."""

    address: str
    port: Annotated[int, Meta(ge=0, le=65535)]
    via: str = ""
    country: str = ""
    asn: Annotated[int, Meta(ge=0, le=2**32 - 1)] = 0
    sign_in_country: str = ""
    seen_country: str = ""


class Request(_Part, frozen=True, kw_only=True):
    """What was asked, in the one reading that is judged and forwarded, and how it was spelt."""

    method: str
    target: str
    received_target: str = ""
    path: str = ""
    verb: str = ""
    kube_verb: str = ""
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    stream: str = ""
    dry_run: bool = False
    user_agent: str = ""


class Namespace(_Part, frozen=True, kw_only=True):
    """The namespace of the request, where the decision rested on its labels and they were known."""

    labels: dict[str, str] = {}
    labels_omitted: Count = 0


class ObjectFacts(_Part, frozen=True, kw_only=True):
    """What was known of the object, where the decision rested on it."""

    labels: dict[str, str] = {}
    labels_omitted: Count = 0
    service_account: str = ""
    privileged: bool = False
    host_namespaces: bool = False
    images: tuple[str, ...] = ()
    images_omitted: Count = 0
    is_patch: bool = False


class Impersonated(_Part, frozen=True, kw_only=True):
    """The identity that goes upstream in the ``Impersonate-*`` headers."""

    user: str
    groups: tuple[str, ...] = ()
    groups_omitted: Count = 0
    uid: str = ""
    extra: dict[str, tuple[str, ...]] = {}


class RuleError(_Part, frozen=True, kw_only=True):
    """A rule that could not be judged."""

    rule: str
    message: str


class ShadowVerdict(StrEnum):
    """What a shadow policy would have answered."""

    PERMIT = "permit"
    DENY = "deny"
    CHALLENGE = "challenge"
    UNTOLD = "untold"


class ShadowAnswer(_Part, frozen=True, kw_only=True):
    """What a shadow policy would have answered, where that is otherwise."""

    decision: ShadowVerdict
    rule: str = ""
    policy_revision: str


class StepUp(_Part, frozen=True, kw_only=True):
    """The sign-in that a challenge asks for."""

    acr_values: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    max_age_seconds: Count | None = None
    command: str


class DecisionRecord(_Part, frozen=True, kw_only=True, tag_field="kind", tag="decision"):
    """Written before the request is forwarded or refused."""

    ts: Time
    audit_id: str
    client_audit_id: str = ""
    decision: Verdict
    cause: Cause
    rule: str = ""
    matched: tuple[str, ...] = ()
    errors: tuple[RuleError, ...] = ()
    policy_revision: str = ""
    valid_until: Time | None = None
    depends_on: tuple[str, ...] = ()
    hint: str = ""
    message: str = ""
    step_up: StepUp | None = None
    reason: str = ""
    status_code: StatusCode | None = None
    received_at: Time
    user: User | None = None
    device: Device | None = None
    source: Source
    request: Request
    namespace: Namespace | None = None
    object: ObjectFacts | None = None
    impersonated: Impersonated | None = None
    shadow: ShadowAnswer | None = None


class Cut(_Part, frozen=True, kw_only=True):
    """Why and how fast kzproxy ended what was under way.

    ``took_ms`` is from when nothing was passed on any more until the client had been told and both
    sides were closed.
    """

    cause: str
    rule: str = ""
    took_ms: Annotated[float, Meta(ge=0)] = 0.0


class CompletedRecord(_Part, frozen=True, kw_only=True, tag_field="kind", tag="completed"):
    """Written when a permitted request is over."""

    ts: Time
    audit_id: str
    termination: Termination
    status_code: StatusCode | None = None
    bytes_in: Count = 0
    bytes_out: Count = 0
    duration_ms: Annotated[float, Meta(ge=0)] = 0.0
    message: str = ""
    cut: Cut | None = None


class EventDevice(_Part, frozen=True, kw_only=True):
    """The device that an event is about; one of the two is there."""

    id: str = ""
    key_thumbprint: str = ""


class EventUser(_Part, frozen=True, kw_only=True):
    """The person that an event is about, or who caused it."""

    name: str
    issuer: str = ""
    subject: str = ""


class EventRecord(_Part, frozen=True, kw_only=True, tag_field="kind", tag="event"):
    """Written before something that is no request to the cluster is done, or when it is refused."""

    ts: Time
    event: Annotated[str, Meta(pattern="^[a-z-]+(\\.[a-z-]+)+$")]
    refused: bool = False
    message: str = ""
    audit_id: str = ""
    by: str = ""
    user: EventUser | None = None
    session: str = ""
    device: EventDevice | None = None
    source: Source | None = None
    details: dict[str, str] = {}


class SignalSubjectFields(_Part, frozen=True, kw_only=True):
    """Whom a signal is about, in the words of its source."""

    issuer: str = ""
    subject: str = ""
    email: str = ""
    session: str = ""
    device: str = ""
    everybody: bool = False


class SignalReceivedRecord(
    _Part, frozen=True, kw_only=True, tag_field="kind", tag="signal.received"
):
    """Written before what a signal says is done."""

    ts: Time
    stream: str
    source: str
    id: str
    event: str
    outcome: str
    effect: str = ""
    subject: SignalSubjectFields | None = None
    observed_at: Time | None = None
    sessions: tuple[str, ...] = ()
    sessions_omitted: Count = 0
    message: str = ""
    evidence: str = ""


class SignalRefusedRecord(_Part, frozen=True, kw_only=True, tag_field="kind", tag="signal.refused"):
    """Written when something is sent that is no signal, or not from whom it should be."""

    ts: Time
    stream: str
    error: str
    message: str
    id: str = ""
    address: str = ""
    left_out: Count = 0


class StartedRecord(_Part, frozen=True, kw_only=True, tag_field="kind", tag="started"):
    """The first line of a chain."""

    ts: Time
    kzproxy_version: str
    torn_bytes: Count = 0


class ResumedRecord(_Part, frozen=True, kw_only=True, tag_field="kind", tag="resumed"):
    """The first line after a restart or a rotation; ``prev`` is the head it goes on from."""

    ts: Time
    kzproxy_version: str
    after: ContinuedAfter
    torn_bytes: Count = 0


class StoppedRecord(_Part, frozen=True, kw_only=True, tag_field="kind", tag="stopped"):
    """The last line of a process that ended in order."""

    ts: Time


class GapRecord(_Part, frozen=True, kw_only=True, tag_field="kind", tag="gap"):
    """Written once the log can be written again: what it lacks."""

    ts: Time
    refused: Count = 0
    lost: Count = 0


Lifecycle = StartedRecord | ResumedRecord | StoppedRecord | GapRecord
SignalRecord = SignalReceivedRecord | SignalRefusedRecord
Record = DecisionRecord | CompletedRecord | EventRecord | SignalRecord | Lifecycle


class Envelope(Struct, frozen=True, kw_only=True):
    """What ``chain.seal`` puts in front of every record."""

    v: Annotated[int, Meta(ge=SCHEMA_VERSION, le=SCHEMA_VERSION)]
    seq: Annotated[int, Meta(ge=1)]
    prev: Hash
    worker: str


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of one line of the decision log."""
    (envelope, *kinds), definitions = msgspec.json.schema_components(
        [Envelope, *Record.__args__], ref_template="#/$defs/{name}"
    )
    envelope = definitions.pop("Envelope")
    for described in definitions.values():
        # Python 3.13 has taken the indentation away already.
        described["description"] = cleandoc(described["description"])
    for kind in kinds:
        record = definitions[kind["$ref"].removeprefix("#/$defs/")]
        record["properties"] = {**envelope["properties"], **record["properties"]}
        record["required"] = [*envelope["required"], *record["required"]]
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A line of the kzproxy decision log, version {SCHEMA_VERSION}",
        "oneOf": kinds,
        "$defs": definitions,
    }
    return msgspec.json.decode(msgspec.json.encode(schema), type=dict[str, Any])

"""Truthful answers to what a user can do: of RBAC and of policy together, as things are now.

kube-apiserver answers a SelfSubjectAccessReview or SelfSubjectRulesReview by its RBAC, which knows
nothing of kzproxy. Such a review is judged and sent on as any request, and what comes back is then
made to say what would really happen here: to this caller, from this address, at this time. What
rules ask of an object, and what admission would say, is not looked at; the answer says so.
"""

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
from msgspec.structs import replace

from kzproxy.administrator.administrator import Administrator
from kzproxy.attributes.api_object import Labels
from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.environment import Environment
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.attributes.strict_document import read_json
from kzproxy.enforcement.further_facts import FurtherFacts
from kzproxy.enforcement.gathering import accepting_json
from kzproxy.enforcement.held_bodies import HeldBodies
from kzproxy.enforcement.refusal import why_denied
from kzproxy.enforcement.turns import Turns
from kzproxy.errors.kinds import UnsupportedMediaType, UpstreamInvalid
from kzproxy.http.messages import Length, RequestHead, ResponseHead
from kzproxy.policy.access_review import (
    read_access_review,
    read_rules_namespace,
    read_rules_namespace_in_protobuf,
)
from kzproxy.policy.decision import Decision, NotPermitted, Permit, asks_for_reason
from kzproxy.policy.outline import Outline
from kzproxy.policy.question import Question, TooWide, requests_of
from kzproxy.policy.rules_review import (
    in_the_right_place,
    named,
    narrowed,
    resource_rules,
    statements,
    url_rules,
)
from kzproxy.transport.exchange import Exchange
from kzproxy.upstream.discovery import Discovery, Served

_GROUP = "authorization.k8s.io"
_ACCESS, _RULES = "selfsubjectaccessreviews", "selfsubjectrulesreviews"
_JSON = "application/json"
_PROTOBUF = "application/vnd.kubernetes.protobuf"
MAX_REVIEW_BYTES = 64 * 1024
_WHY_READ = "kzproxy reads it to complete the answer"
# In a turn of the loop: some 2 ms of judging.
_JUDGED_AT_ONCE = 25
# Of one list of rules: some seconds. A wildcard of RBAC times all that the cluster serves times
# all names in the policy can be millions.
MAX_JUDGED = 50_000
_CREATED = 201
_LEFT_OUT = "admission and what rules ask of the object are not looked at"

Document = dict[str, Any]
# Sends a request for its caller and returns the whole answer.
Send = Callable[[RequestHead, bytes], Awaitable[tuple[ResponseHead, bytes]]]


class SelfInspection(msgspec.Struct, frozen=True, kw_only=True):
    """Answers reviews of oneself.

    Attributes:
        administrator: Judges.
        facts: Finds out what judging takes besides.
        discovery: What the cluster serves.
        held: Reads bodies.
        turns: For judging, of which there may be much.
    """

    administrator: Administrator
    facts: FurtherFacts
    discovery: Discovery
    held: HeldBodies
    turns: Turns

    @staticmethod
    def concerns(info: RequestInfo) -> bool:
        """Whether the request is for such a review."""
        return (
            info.verb == "create"
            and info.api_group == _GROUP
            and info.resource in (_ACCESS, _RULES)
            and not info.subresource
        )

    async def answer(
        self,
        exchange: Exchange,
        request: RequestHead,
        attributes: Attributes,
        session_id: str,
        send: Send,
    ) -> tuple[ResponseHead, bytes]:
        """Return what is answered to a request that ``concerns``, which ``attributes`` are of.

        Raises:
            ProxyError: It cannot be read, or not be answered.
            DownstreamClosed: Its body did not come.
        """
        whose = attributes.subject
        body = await self.held.read(exchange, request, MAX_REVIEW_BYTES, whose, _WHY_READ)
        is_on_access = attributes.request.resource == _ACCESS
        namespace = "" if is_on_access else _namespace(request, body)
        sent = msgspec.structs.replace(
            request, headers=accepting_json(request), body=Length(len(body))
        )
        head, received = await send(sent, body)
        if head.status != _CREATED:
            return head, received
        review = _document(received)
        judging = _Judging(self, attributes, session_id, await self.discovery.served())
        if is_on_access:
            # What kube-apiserver has read is in its answer, so that it is not read twice.
            status = await judging.access(read_access_review(review), _status(review))
        else:
            status = await judging.rules(namespace, _status(review))
        return head, msgspec.json.encode(review | {"status": status})


@dataclass(slots=True)
class _Judging:
    """Judges what one caller might ask, here and now."""

    inspection: SelfInspection
    attributes: Attributes
    session_id: str
    served: Served
    _judged: int = 0
    # Found out once: a question may stand for thousands of requests.
    _labels: dict[str, Labels | None] = field(default_factory=dict)
    _environment: Environment | None = None

    @property
    def _is_exhausted(self) -> bool:
        return self._judged >= MAX_JUDGED

    @property
    def _outline(self) -> Outline:
        return self.inspection.administrator.outline

    async def access(self, question: Question, status: Document) -> Document:
        """Return the status of an access review, given kube-apiserver's."""
        if question.is_misspelt:
            asked = (
                f"kzproxy: no request has the verb {question.verb}; ask for get, create and so on"
            )
            return _denied(status, asked)
        if not question.is_judged:
            note = f"kzproxy judges requests, and none has the verb {question.verb}"
            if question.is_impersonation:
                denied = "kzproxy does not let anybody impersonate"
                return _denied(status, denied)
            return status | {"reason": _joined(status, note)}
        verdict = await self._verdict(question)
        if isinstance(verdict, str):
            return _denied(status, verdict)
        if status.get("allowed") is not True:
            note = f"kzproxy rule {verdict.rule} would permit it"
        else:
            note = f"kzproxy rule {verdict.rule} permits it here and now ({_LEFT_OUT})"
        return status | {"reason": _joined(status, note)}

    async def rules(self, namespace: str, status: Document) -> Document:
        """Return the status of a rules review, given kube-apiserver's."""
        held: dict[Question, None] = {}
        for rule in (*_dicts(status, "resourceRules"), *_dicts(status, "nonResourceRules")):
            for statement in statements(rule, namespace):
                if self._is_exhausted:
                    break
                held |= dict.fromkeys(await self._held(statement))
        limits = [] if self.served.is_whole else ["what the cluster serves is not known"]
        if self._is_exhausted:
            limits.append(f"kzproxy judges {MAX_JUDGED} requests for it and no more")
        if limited := self._outline.limited_for(self.attributes.subject):
            rules = ", ".join(limited)
            limits.append(f"kzproxy rules that hold for some names or selectors only: {rules}")
        combined = {
            "resourceRules": resource_rules(held),
            "nonResourceRules": url_rules(held),
            "incomplete": bool(status.get("incomplete")) or bool(limits),
        }
        if limits or status.get("evaluationError"):
            said = [str(status["evaluationError"])] if status.get("evaluationError") else []
            combined["evaluationError"] = "; ".join([*said, *limits])
        return combined

    async def _held(self, statement: Question) -> list[Question]:
        """Return what policy leaves of one statement of RBAC."""
        if not statement.is_judged:
            return [] if statement.is_impersonation else [statement]
        if await self._is_permitted(statement):
            return [statement]
        outline = self._outline
        candidates: Iterable[Question]
        if statement.is_wide:
            # One by one: there may be a hundred thousand.
            candidates = narrowed(statement, self.served, outline.paths)
        else:
            candidates = named(statement, outline.names)
        held: list[Question] = []
        for each in candidates:
            if self._is_exhausted:
                break
            if await self._is_permitted(each):
                held.append(each)
            elif statement.is_wide:
                more = named(each, outline.names)
                held += [one for one in more if await self._is_permitted(one)]
        return held

    async def _is_permitted(self, statement: Question) -> bool:
        placed = in_the_right_place(statement, self.served)
        return not isinstance(await self._verdict(placed), str)

    async def _verdict(self, question: Question) -> "Permit | str":
        """Return a permit where everything that is asked is permitted, or why not."""
        permit: Permit | None = None
        try:
            for request in requests_of(question, self._outline.examples, self.served):
                decision = await self._decided(request)
                if isinstance(decision, NotPermitted):
                    return f"kzproxy: {_of_example(question, request)}{why_denied(decision)}"
                permit = permit or decision
        except TooWide:
            return "kzproxy: the question is too wide to be answered with yes"
        return permit or "kzproxy: nothing is asked"

    async def _decided(self, request: RequestInfo) -> Decision:
        if self._judged % _JUDGED_AT_ONCE == 0:
            await self.inspection.turns.take()
        self._judged += 1
        administrator, facts = self.inspection.administrator, self.inspection.facts
        asked = replace(self.attributes, request=request, namespace_labels=None, api_object=None)
        known = administrator.informed(asked)
        if known.namespace_labels is None and facts.lacks_labels(known):
            known = replace(known, namespace_labels=await self._labels_of(request.namespace))
        decision, _ = administrator.decide_without_object(known)
        if asks_for_reason(decision):
            known = replace(known, environment=await self._environment_with_reason())
            decision, _ = administrator.decide_without_object(known)
        return decision

    async def _labels_of(self, namespace: str) -> Labels | None:
        if namespace not in self._labels:
            self._labels[namespace] = await self.inspection.facts.look_up(namespace)
        return self._labels[namespace]

    async def _environment_with_reason(self) -> Environment:
        if self._environment is None:
            facts = self.inspection.facts
            self._environment = await facts.environment_with_reason(
                self.attributes, self.session_id
            )
        return self._environment


def _namespace(request: RequestHead, body: bytes) -> str:
    """Return the namespace of a rules review; kube-apiserver's answer does not say it."""
    types = {each.partition(";")[0].strip().lower() for each in request.values("content-type")}
    if not request.values("content-encoding"):
        if types <= {_JSON}:
            return read_rules_namespace(read_json(body))
        if types == {_PROTOBUF}:
            return read_rules_namespace_in_protobuf(body)
    raise UnsupportedMediaType(f"kzproxy reads this review as {_JSON} or {_PROTOBUF} only")


def _of_example(question: Question, request: RequestInfo) -> str:
    """Say which of the many requests of a question it is that is denied."""
    if request.is_resource:
        there = f" in namespace {request.namespace}" if request.namespace else ""
        what = f"{request.verb} {request.qualified_resource}{there}"
        alone = not question.is_wide and request.namespace == question.namespace
        return "" if alone else f"{what}, which this would include: "
    return "" if request.path == question.path else f"{request.path}, which this would include: "


def _denied(status: Document, why: str) -> Document:
    kept = {key: value for key, value in status.items() if key != "evaluationError"}
    return kept | {"allowed": False, "denied": True, "reason": why}


def _joined(status: Document, note: str) -> str:
    reason = status.get("reason")
    return f"{reason}; {note}" if isinstance(reason, str) and reason else note


def _document(received: bytes) -> Document:
    try:
        return msgspec.json.decode(received, type=Document)
    except msgspec.DecodeError as error:
        raise UpstreamInvalid(
            "kube-apiserver's answer to a review has no reading", detail=str(error)
        ) from error


def _status(review: Document) -> Document:
    status = review.get("status")
    return status if isinstance(status, dict) else {}


def _dicts(status: Document, key: str) -> Sequence[Document]:
    value = status.get(key)
    found: Iterable[object] = value if isinstance(value, list) else ()
    return [each for each in found if isinstance(each, dict)]

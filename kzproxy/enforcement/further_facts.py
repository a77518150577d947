"""What a decision may rest on besides who asks what from where, found out only where it counts.

All of it takes waiting, for a disk, for kube-apiserver or for the body of the request; policy is
pure and cheap, and so is asked first whether it makes a difference.
"""

import asyncio
from typing import NamedTuple

import msgspec
from msgspec.structs import replace

from kzproxy.administrator.administrator import Administrator
from kzproxy.administrator.reasons import ReasonStore
from kzproxy.attributes.api_object import Labels
from kzproxy.attributes.attributes import Attributes
from kzproxy.attributes.environment import Environment
from kzproxy.attributes.request_info import RequestInfo
from kzproxy.enforcement.object_checks import ObjectChecks, has_body
from kzproxy.http.messages import RequestHead
from kzproxy.policy.decision import Decision, Dependency, Permit, asks_for_reason
from kzproxy.transport.exchange import Exchange
from kzproxy.upstream.namespaces import NamespaceLabels

_DELETIONS = frozenset({"delete", "deletecollection"})
# A permit that rests on one of these says nothing of another request, however alike.
_FLEETING = frozenset({Dependency.OBJECT, Dependency.REASON, Dependency.NAMESPACE})


class Judged(NamedTuple):
    """A decision, and whether it may be used again for the next request like this one."""

    decision: Decision
    keepable: bool


class FurtherFacts(msgspec.Struct, frozen=True, kw_only=True):
    """Judges a request with all that its judgement takes.

    Attributes:
        administrator: Judges.
        objects: Looks at pods and bodies.
        reasons: None where no reasons are taken.
        namespaces: Their labels; None where no rule looks at them.
    """

    administrator: Administrator
    objects: ObjectChecks
    reasons: ReasonStore | None
    namespaces: NamespaceLabels | None = None

    async def judged(
        self, attributes: Attributes, exchange: Exchange, request: RequestHead, session_id: str
    ) -> Judged:
        """Return the decision.

        Raises:
            ProxyError: A body has to be read for it, and cannot be.
            DownstreamClosed: It did not come.
        """
        base = await self.with_labels(attributes)
        known = await self.with_reason(base, session_id)
        known = await self._with_object(known, exchange, request)
        if known.request.dry_run_in_body is not None and self._turns_on_dry_run(known):
            asks = await self.objects.asks_for_dry_run(exchange, request, known.subject)
            known = _with_dry_run(known, asks=asks)
        decision = self.administrator.decide(known)
        as_ever = known is base and known.request.dry_run_in_body is None
        return Judged(decision, as_ever and not _FLEETING & decision.depends_on)

    async def _with_object(
        self, attributes: Attributes, exchange: Exchange, request: RequestHead
    ) -> Attributes:
        is_asked = self.administrator.needs_object(attributes)
        if not is_asked and attributes.request.dry_run_in_body is not None:
            is_asked = self.administrator.needs_object(_with_dry_run(attributes, asks=True))
        if not is_asked:
            return attributes
        # None is a finding too: so the attributes are others from here on, whatever comes.
        found = await self.objects.object_of(
            exchange, request, attributes.request, attributes.subject
        )
        return replace(attributes, api_object=found)

    async def with_labels(self, attributes: Attributes) -> Attributes:
        """Return the same with the labels of its namespace, where it matters what they are.

        A namespace that the watch has not brought yet is asked for: it may be a moment old.
        """
        known = self.administrator.informed(attributes)
        if not self.lacks_labels(known):
            return known
        return replace(known, namespace_labels=await self.look_up(known.request.namespace))

    def lacks_labels(self, attributes: Attributes) -> bool:
        """Whether it matters what labels the namespace has, and nobody knows them yet."""
        namespace = attributes.request.namespace
        if self.namespaces is None or not namespace or attributes.namespace_labels is not None:
            return False
        return Dependency.NAMESPACE in self.administrator.decide(attributes).depends_on

    async def look_up(self, namespace: str) -> Labels | None:
        """Ask kube-apiserver for labels that are lacking."""
        return None if self.namespaces is None else await self.namespaces.look_up(namespace)

    async def with_reason(self, attributes: Attributes, session_id: str) -> Attributes:
        """Return the same with the reason that its user has given, where a rule asks for one."""
        if self.reasons is None or not asks_for_reason(self.administrator.decide(attributes)):
            return attributes
        environment = await self.environment_with_reason(attributes, session_id)
        if environment is attributes.environment:
            return attributes
        return replace(attributes, environment=environment)

    async def environment_with_reason(self, attributes: Attributes, session_id: str) -> Environment:
        """Return the environment of a request with the reason that its user has given, if any."""
        environment, user = attributes.environment, attributes.subject.username
        if self.reasons is None:
            return environment
        now = environment.received_at
        reason = await asyncio.to_thread(self.reasons.read, session_id, user, now)
        if reason is None:
            return environment
        return replace(environment, reason=reason.text, reason_ends_at=reason.ends_at)

    def _turns_on_dry_run(self, attributes: Attributes) -> bool:
        """Whether it matters what the body of a deletion says of dry runs."""
        decide = self.administrator.decide
        verdicts = [
            _verdict(decide(_with_dry_run(attributes, asks=asks))) for asks in (True, False)
        ]
        return verdicts[0] != verdicts[1]


def as_sent(info: RequestInfo, request: RequestHead) -> RequestInfo:
    """Return ``info`` with what the head says of a body that changes its meaning."""
    if info.verb in _DELETIONS and info.is_resource and has_body(request):
        return replace(info, dry_run_in_body=False)
    return info


def _with_dry_run(attributes: Attributes, *, asks: bool) -> Attributes:
    return replace(attributes, request=replace(attributes.request, dry_run_in_body=asks))


def _verdict(decision: Decision) -> object:
    if isinstance(decision, Permit):
        return decision.rule, decision.obligations
    return decision.cause, decision.rule

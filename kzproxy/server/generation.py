"""Make a generation: what one reading of the configuration puts in force, whole."""

import msgspec
from msgspec.structs import replace

from kzproxy.administrator.reasons import ReasonStore
from kzproxy.administrator.trust import Trust
from kzproxy.authentication.oidc import Authenticates
from kzproxy.config.proxy import ProxySettings
from kzproxy.enforcement.accounts import Accounts
from kzproxy.enforcement.callers import Callers
from kzproxy.enforcement.decision_endpoints import Judgement
from kzproxy.enforcement.forwarded_clients import ForwardedClients
from kzproxy.enforcement.forwarding import Forwarding, ForwardingSettings
from kzproxy.enforcement.further_facts import FurtherFacts
from kzproxy.enforcement.object_checks import ObjectChecks
from kzproxy.enforcement.point import EnforcementPoint
from kzproxy.enforcement.self_inspection import SelfInspection
from kzproxy.server.explaining import ExplainingProcess
from kzproxy.server.own_endpoints import own_endpoints
from kzproxy.server.parts import Parts
from kzproxy.server.services import Services
from kzproxy.server.way import Way, build_api_server
from kzproxy.upstream.api_server import ApiServer
from kzproxy.upstream.namespaces import NamespaceLabels
from kzproxy.upstream.objects import PodObjects


class Generation(msgspec.Struct, frozen=True, kw_only=True):
    """What one reading of the configuration made, whole; the next reading's takes its place.

    A request is served to its end by the generation that it began with; whether it may go on is for
    the administrator, which outlives them all.
    """

    settings: ProxySettings
    parts: Parts
    authenticator: Authenticates
    way: Way
    point: EnforcementPoint

    @property
    def api_server(self) -> ApiServer:
        """The way to kube-apiserver."""
        return self.way.api_server

    @property
    def namespaces(self) -> NamespaceLabels | None:
        """Their labels; None where no rule looks at them."""
        return self.way.namespaces

    @property
    def trust(self) -> Trust:
        """Whose word about users and devices counts."""
        return Trust(
            issuers=self.authenticator.vouchers,
            device_authorities=self.parts.device_authorities,
            managed_authorities=self.parts.managed_authorities,
        )


def first_generation(
    settings: ProxySettings,
    parts: Parts,
    authenticator: Authenticates,
    services: Services,
    account: str,
) -> Generation:
    """Make the first one; ``account`` is kzproxy's name at kube-apiserver."""
    labels = parts.needs_namespace_labels
    way = Way.of(build_api_server(parts.account, services), services, labels=labels)
    return _generation(settings, parts, authenticator, way, services, account)


def next_generation(
    before: Generation, settings: ProxySettings, parts: Parts, services: Services, account: str
) -> Generation:
    """Make the one that follows, with what has not changed of keys, connections, certificates.

    Its enforcement point is a new one, and remembers nothing of what the other had judged.
    """
    authenticator, way = before.authenticator, before.way
    labels = parts.needs_namespace_labels
    if settings.issuers != before.settings.issuers:
        authenticator = authenticator.successor(settings.issuers)
    if settings.upstream != before.settings.upstream:
        way = Way.of(build_api_server(parts.account, services), services, labels=labels)
    elif labels is not (way.namespaces is not None):
        way = Way.of(way.api_server, services, labels=labels)
    # Which of them vouch for managed devices may change though they stay the same.
    same = parts.device_authorities == before.parts.device_authorities
    if same and parts.managed_authorities == before.parts.managed_authorities:
        parts = replace(parts, devices=before.parts.devices)
    return _generation(settings, parts, authenticator, way, services, account)


def _generation(
    settings: ProxySettings,
    parts: Parts,
    authenticator: Authenticates,
    way: Way,
    services: Services,
    account: str,
) -> Generation:
    return Generation(
        settings=settings,
        parts=parts,
        authenticator=authenticator,
        way=way,
        point=_point(parts, authenticator, way, services, settings, account),
    )


def _point(
    parts: Parts,
    authenticator: Authenticates,
    way: Way,
    services: Services,
    settings: ProxySettings,
    account: str,
) -> EnforcementPoint:
    reasons = None if settings.reasons is None else ReasonStore.open(settings.reasons)
    facts = FurtherFacts(
        administrator=services.administrator,
        objects=ObjectChecks(PodObjects(way.api_server), services.held_bodies),
        reasons=reasons,
        namespaces=way.namespaces,
    )
    forwarding = Forwarding(
        clock=services.clock,
        administrator=services.administrator,
        api_server=way.api_server,
        metrics=services.metrics,
        settings=_forwarding(settings, account),
        self_inspection=SelfInspection(
            administrator=services.administrator,
            facts=facts,
            discovery=way.discovery,
            held=services.held_bodies,
            turns=services.turns,
        ),
        held=services.held_answers,
        turns=services.turns,
    )
    hops = settings.client_address.hop_addresses
    signals = None if services.kept is None else services.kept.signals
    return EnforcementPoint(
        clock=services.clock,
        callers=Callers(
            authenticator=authenticator,
            devices=parts.devices,
            device_facts=() if services.kept is None else services.kept.device_facts,
            sessions=None if services.kept is None else services.kept.sessions,
            follows_sessions=parts.engine.follows_sessions,
            signals=signals,
            api_server=way.api_server,
            send_uid=settings.send_uid,
        ),
        under_way=services.under_way,
        administrator=services.administrator,
        decisions=services.decisions,
        shadow=parts.shadow,
        metrics=services.metrics,
        accounts=Accounts(
            clock=services.clock, decisions=services.decisions, metrics=services.metrics
        ),
        forwarding=forwarding,
        own_endpoints=own_endpoints(
            reasons,
            services.past,
            Judgement(engine=parts.engine, policies=settings.policy, clock=services.clock),
            ExplainingProcess(settings.policy_files),
            services.kept,
            services.administrator,
        ),
        facts=facts,
        step_ups=None if services.sign_in is None else services.sign_in.step_ups,
        signals=signals,
        clients=ForwardedClients(hops) if hops is not None else None,
        locations=parts.locations,
    )


def _forwarding(settings: ProxySettings, account: str) -> ForwardingSettings:
    return ForwardingSettings(
        send_uid=settings.send_uid, send_decision_id=settings.send_decision_id, account=account
    )

"""Put kzproxy together from its settings: the one place that knows every part."""

import asyncio
import ssl
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kzproxy.administrator.administrator import Administrator
from kzproxy.administrator.reasons import ReasonStore
from kzproxy.administrator.shadow import Shadow
from kzproxy.administrator.trust import NOBODY, Trust
from kzproxy.administrator.whereabouts import Whereabouts
from kzproxy.audit.decision_log import DecisionLog, DecisionLogSettings
from kzproxy.audit.past_decisions import PastDecisions
from kzproxy.audit.search import LogSearch
from kzproxy.authentication.oidc import Authenticates
from kzproxy.clock.system import Clock
from kzproxy.config.limits import Limits
from kzproxy.config.proxy import ProxySettings
from kzproxy.devices.device_certificate import DeviceAuthority
from kzproxy.enforcement.decision_endpoints import Judgement
from kzproxy.enforcement.forwarded_clients import ForwardedClients
from kzproxy.enforcement.forwarding import Forwarding, ForwardingSettings
from kzproxy.enforcement.further_facts import FurtherFacts
from kzproxy.enforcement.held_bodies import HeldBodies
from kzproxy.enforcement.limits import UnderWay
from kzproxy.enforcement.object_checks import ObjectChecks
from kzproxy.enforcement.point import EnforcementPoint
from kzproxy.enforcement.self_inspection import SelfInspection
from kzproxy.errors.configuration import ConfigurationError, Mistake
from kzproxy.location.settings import LocationSettings
from kzproxy.metrics.registry import Metrics
from kzproxy.policy.engine import PolicyEngine
from kzproxy.policy.network import Addresses
from kzproxy.policy.rules import AccessPolicySet
from kzproxy.server.device_authorities import certificate_issuer, device_authority
from kzproxy.server.explaining import ExplainingProcess
from kzproxy.server.own_endpoints import own_endpoints
from kzproxy.server.way import Way, build_api_server
from kzproxy.transport.deadlines import Deadlines
from kzproxy.transport.tls import ListenerTls, listener_context
from kzproxy.upstream.account import Account, UpstreamSettings
from kzproxy.upstream.api_server import ApiServer
from kzproxy.upstream.namespaces import NamespaceLabels
from kzproxy.upstream.objects import PodObjects

if TYPE_CHECKING:
    from kzproxy.devices.issuing import CertificateIssuer
    from kzproxy.location.locations import Locations
    from kzproxy.server.confirming import Confirming
    from kzproxy.server.kept import Kept
    from kzproxy.server.sign_in import SignIn


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """What needs neither a socket nor kube-apiserver to be made.

    Attributes:
        listener_tls: The API listener's context.
        account: kzproxy's own at kube-apiserver.
        devices: Who vouches for devices; None where the operator names nobody.
        issuer: Issues certificates for them; None where kzproxy does not.
        engine: The policy.
        shadow: Another one that is asked too; None where there is none.
        locations: Say where addresses are; None where nobody does.
        proxies: Who alone connects, with PROXY headers; None where clients do themselves.
        sign_in_tls: The sign-in listener's context; None where nobody signs in here.
    """

    listener_tls: ssl.SSLContext
    account: Account
    devices: DeviceAuthority | None
    issuer: "CertificateIssuer | None" = None
    engine: PolicyEngine
    shadow: Shadow | None = None
    locations: "Locations | None" = None
    proxies: Addresses | None = None
    sign_in_tls: ssl.SSLContext | None = None

    @property
    def needs_namespace_labels(self) -> bool:
        """Whether a rule looks at the labels of namespaces."""
        shadow = self.shadow
        return self.engine.needs_namespace_labels or (
            shadow is not None and shadow.needs_namespace_labels
        )


def build_parts(settings: ProxySettings, clock: Clock, known: "Locations | None" = None) -> Parts:
    """Make everything that can be wrong in a file, and say what is.

    ``known`` are the databases that were read before.

    Raises:
        ConfigurationError: A certificate, key or database is not what it should be.
    """
    _check_libraries(settings)
    devices = device_authority(settings.devices)  # first: TLS says less about the same file
    return Parts(
        listener_tls=_listener_tls(settings.tls),
        account=_account(settings.upstream, clock),
        devices=devices,
        issuer=certificate_issuer(settings.devices.issuing, devices, clock),
        engine=PolicyEngine(settings.policy),
        shadow=_shadow(settings.shadow_policy),
        locations=_locations(settings.location, known),
        proxies=settings.client_address.proxy_addresses,
    )


def _check_libraries(settings: ProxySettings) -> None:
    if settings.sign_in is None and not settings.posture.providers:
        return
    # aiohttp weighs 11 MiB: it is for those who sign people in, or ask others about devices.
    from kzproxy.server.http_library import check_parser

    check_parser()


@dataclass(frozen=True, slots=True, kw_only=True)
class Services:
    """What lives as long as kzproxy runs, whatever configuration is in force."""

    clock: Clock
    limits: Limits
    under_way: UnderWay
    held_bodies: HeldBodies
    administrator: Administrator
    whereabouts: Whereabouts
    decisions: DecisionLog
    past: PastDecisions
    deadlines: Deadlines
    metrics: Metrics
    kept: "Kept | None" = None
    confirming: "Confirming | None" = None
    sign_in: "SignIn | None" = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Generation:
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
            device_authorities=_fingerprints(self.parts),
            managed_authorities=_managed(self.parts),
        )


def build_services(
    settings: ProxySettings,
    parts: Parts,
    clock: Clock,
    version: str,
    own_log: DecisionLogSettings | None = None,
) -> Services:
    """Make them; opens the decision log, which the caller closes.

    The administrator believes nobody yet. ``own_log`` is a worker's; decisions of all workers are
    found under the name in ``settings``.

    Raises:
        ConfigurationError: The decision log cannot be written.
    """
    metrics = Metrics(version)
    decisions = DecisionLog.open(own_log or settings.decision_log, clock)
    file = settings.decision_log.file
    _follow(metrics, decisions)
    administrator = Administrator(parts.engine, NOBODY, clock)
    kept = _kept(settings, administrator, decisions, metrics, clock)
    return Services(
        clock=clock,
        limits=settings.limits,
        under_way=UnderWay(settings.limits.identities),
        held_bodies=HeldBodies(),
        administrator=administrator,
        whereabouts=Whereabouts(),
        decisions=decisions,
        past=PastDecisions(decisions.recent, LogSearch(file, clock) if file else None),
        deadlines=Deadlines(clock),
        metrics=metrics,
        kept=kept,
        confirming=_confirming(settings, kept, clock, metrics),
        sign_in=_sign_in(settings, kept, clock),
    )


def _kept(
    settings: ProxySettings,
    administrator: Administrator,
    decisions: DecisionLog,
    metrics: Metrics,
    clock: Clock,
) -> "Kept | None":
    if settings.store is None:
        return None
    from kzproxy.server.kept import open_kept  # SQLite is for those who keep something
    from kzproxy.server.kept_devices import follow_devices
    from kzproxy.server.kept_posture import follow_posture

    kept = open_kept(
        settings.store,
        settings.sessions,
        administrator,
        decisions,
        clock,
        takes_signals=settings.signals is not None,
    )
    follow_posture(metrics, kept.posture.keeper.counts)
    follow_devices(metrics, kept.devices)
    metrics.follow_gauges(
        "kzproxy_store_unreadable_entries",
        "Entries of the store that this kzproxy cannot read.",
        ("kind",),
        kept.following.unreadable.counts,
    )
    return kept


def _confirming(
    settings: ProxySettings, kept: "Kept | None", clock: Clock, metrics: Metrics
) -> "Confirming | None":
    if settings.sign_in is None or kept is None:
        return None
    from kzproxy.server.confirming import confirming  # for those who sign people in

    return confirming(kept, clock, metrics)


def _sign_in(settings: ProxySettings, kept: "Kept | None", clock: Clock) -> "SignIn | None":
    if settings.sign_in is None or kept is None:
        return None
    from kzproxy.server.sign_in import sign_in  # likewise

    return sign_in(settings.sign_in, kept, clock)


def _follow(metrics: Metrics, decisions: DecisionLog) -> None:
    counts = decisions.counts
    metrics.tasks.set_function(lambda: len(asyncio.all_tasks()))
    metrics.follow("kzproxy_audit_records", "Records in the decision log.", lambda: counts.records)
    metrics.follow(
        "kzproxy_audit_write_failures",
        "Writes of the decision log that failed; what they held was refused or is held.",
        lambda: counts.write_failures,
    )
    metrics.follow(
        "kzproxy_audit_sync_failures",
        "Syncs of the decision log that failed or took too long; requests were refused.",
        lambda: decisions.sync_failures,
    )
    metrics.follow_state(
        "kzproxy_audit_blocked",
        "Whether decisions cannot be written down, so that requests are refused.",
        lambda: bool(decisions.problem()),
    )
    metrics.follow(
        "kzproxy_audit_lost_outcomes",
        "Outcomes lost because the decision log could not be written for too long.",
        lambda: counts.lost_outcomes,
    )
    metrics.follow(
        "kzproxy_audit_mirror_dropped",
        "Lines left out of the copy on standard output because its reader was slow.",
        lambda: decisions.mirror_dropped,
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
    same = _fingerprints(parts) == _fingerprints(before.parts)
    if same and _managed(parts) == _managed(before.parts):
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
        ),
    )
    hops = settings.client_address.hop_addresses
    return EnforcementPoint(
        clock=services.clock,
        authenticator=authenticator,
        devices=parts.devices,
        under_way=services.under_way,
        administrator=services.administrator,
        decisions=services.decisions,
        shadow=parts.shadow,
        api_server=way.api_server,
        metrics=services.metrics,
        settings=forwarding.settings,
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
        sessions=None if services.kept is None else services.kept.sessions,
        step_ups=None if services.sign_in is None else services.sign_in.step_ups,
        follows_sessions=parts.engine.follows_sessions,
        device_facts=() if services.kept is None else services.kept.device_facts,
        signals=None if services.kept is None else services.kept.signals,
        clients=ForwardedClients(hops) if hops is not None else None,
        locations=parts.locations,
    )


def _forwarding(settings: ProxySettings, account: str) -> ForwardingSettings:
    return ForwardingSettings(
        send_uid=settings.send_uid, send_decision_id=settings.send_decision_id, account=account
    )


def _shadow(policy: AccessPolicySet | None) -> Shadow | None:
    return Shadow(PolicyEngine(policy)) if policy is not None else None


def _locations(settings: LocationSettings | None, known: "Locations | None") -> "Locations | None":
    if settings is None:
        return None
    # The reader of databases is for those who name one.
    from kzproxy.location.locations import LocationRefused, Locations

    try:
        return Locations.load(settings, known)
    except LocationRefused as error:
        raise _mistake(str(error.path), str(error)) from error


def _fingerprints(parts: Parts) -> frozenset[str]:
    return frozenset() if parts.devices is None else parts.devices.fingerprints


def _managed(parts: Parts) -> frozenset[str]:
    return frozenset() if parts.devices is None else parts.devices.managed


def _listener_tls(settings: ListenerTls) -> ssl.SSLContext:
    source = f"{settings.certificate_file}, {settings.private_key_file}"
    try:
        return listener_context(settings)
    except (OSError, ValueError) as error:
        raise _mistake(source, f"do not serve for TLS: {_words(error)}") from error


def _account(settings: UpstreamSettings, clock: Clock) -> Account:
    try:
        return Account.of(settings, clock)
    except (OSError, ValueError) as error:
        raise _mistake("upstream", f"certificates do not serve: {_words(error)}") from error


def _mistake(source: str, message: str) -> ConfigurationError:
    return ConfigurationError([Mistake(source=source, message=message)])


def _words(error: Exception) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.replace("_", " ").lower()
    return str(error)

"""What lives as long as kzproxy runs, put together."""

import asyncio
from typing import TYPE_CHECKING

import msgspec

from kzproxy.administrator.administrator import Administrator
from kzproxy.administrator.trust import NOBODY
from kzproxy.administrator.whereabouts import Whereabouts
from kzproxy.audit.decision_log import DecisionLog, DecisionLogSettings
from kzproxy.audit.past_decisions import PastDecisions
from kzproxy.audit.search import LogSearch
from kzproxy.clock.system import Clock
from kzproxy.config.limits import Limits
from kzproxy.config.proxy import ProxySettings
from kzproxy.enforcement.gathering import held_answers
from kzproxy.enforcement.held_bodies import HeldBodies
from kzproxy.enforcement.held_bytes import HeldBytes
from kzproxy.enforcement.limits import UnderWay
from kzproxy.enforcement.turns import Turns
from kzproxy.metrics.registry import Metrics
from kzproxy.server.parts import Parts
from kzproxy.transport.deadlines import Deadlines
from kzproxy.transport.readiness import at_turn_end

if TYPE_CHECKING:
    from kzproxy.server.confirming import Confirming
    from kzproxy.server.kept import Kept
    from kzproxy.server.sign_in import SignIn


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """What lives as long as kzproxy runs, whatever configuration is in force."""

    clock: Clock
    limits: Limits
    under_way: UnderWay
    held_bodies: HeldBodies
    held_answers: HeldBytes
    turns: Turns
    administrator: Administrator
    whereabouts: Whereabouts
    decisions: DecisionLog
    past: PastDecisions
    deadlines: Deadlines
    metrics: Metrics
    kept: "Kept | None" = None
    confirming: "Confirming | None" = None
    sign_in: "SignIn | None" = None


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
    soon = at_turn_end(asyncio.get_running_loop())
    decisions = DecisionLog.open(own_log or settings.decision_log, clock, soon)
    file = settings.decision_log.file
    _follow(metrics, decisions)
    administrator = Administrator(parts.engine, NOBODY, clock)
    kept = _kept(settings, administrator, decisions, metrics, clock)
    return Services(
        clock=clock,
        limits=settings.limits,
        under_way=UnderWay(settings.limits.identities),
        held_bodies=HeldBodies(),
        held_answers=held_answers(),
        turns=Turns(),
        administrator=administrator,
        whereabouts=Whereabouts(),
        decisions=decisions,
        past=PastDecisions(decisions.recent, LogSearch(file, clock) if file else None),
        deadlines=Deadlines(clock),
        metrics=metrics,
        kept=kept,
        confirming=_confirming(settings, kept, decisions, clock, metrics),
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
    if settings.signals is not None:
        names = frozenset(one.source.name for one in settings.signals.streams)
        metrics.follow_gauges(
            "kzproxy_signal_stream_enabled",
            "Whether the transmitter says that it sends.",
            ("stream",),
            lambda: kept.streams.enabled(names),
        )
    return kept


def _confirming(
    settings: ProxySettings,
    kept: "Kept | None",
    decisions: DecisionLog,
    clock: Clock,
    metrics: Metrics,
) -> "Confirming | None":
    if settings.sign_in is None or kept is None:
        return None
    from kzproxy.server.confirming import confirming  # for those who sign people in

    return confirming(kept, decisions, clock, metrics)


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

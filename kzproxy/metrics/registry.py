"""Every metric, named once. No user name and no path is ever a label."""

from collections.abc import Callable, Mapping, Sequence

from kzproxy.metrics.exposition import Family, Registry, Sample
from kzproxy.metrics.tallies import Counter, Durations, Gauge, Level, Tally, samples

# kube-apiserver's own buckets for apiserver_request_duration_seconds, the coarse half.
_SECONDS = (0.005, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.5, 3, 6, 15, 30, 60)


class Metrics:
    """The counters of one worker, in a registry of its own."""

    def __init__(self, version: str) -> None:
        self._registry = registry = Registry()
        self.decisions = Tally(
            "kzproxy_access_decisions",
            "Decisions by outcome and cause.",
            ["decision", "cause"],
            registry=registry,
        )
        self.shadow_disagreements = Counter(
            "kzproxy_shadow_disagreements",
            "Decisions that a shadow policy would have taken otherwise.",
            ["decision", "shadow"],
            registry=registry,
        )
        self.rule_errors = Counter(
            "kzproxy_policy_rule_errors",
            "Times a rule could not be judged, so that it allowed nothing, or denied.",
            ["rule"],
            registry=registry,
        )
        self.requests = Tally(
            "kzproxy_requests",
            "Requests ended, by verb, status code and how they ended.",
            ["verb", "code", "termination"],
            registry=registry,
        )
        self.request_seconds = Durations(
            "kzproxy_request_duration_seconds",
            "From the request's head to the end of its answer; long-running requests excluded.",
            registry=registry,
            bounds=_SECONDS,
        )
        self.in_flight = Level(
            "kzproxy_requests_in_flight", "Requests under way.", registry=registry
        )
        self.long_running = Gauge(
            "kzproxy_long_running_requests", "Live streams by kind.", ["kind"], registry=registry
        )
        self.token_requests = Counter(
            "kzproxy_token_requests",
            "Requests to the token endpoint of kzproxy's own sign-in.",
            ["grant", "outcome"],
            registry=self._registry,
        )
        self.stream_cuts = Counter(
            "kzproxy_stream_cuts", "Streams cut by kzproxy.", ["kind", "cause"], registry=registry
        )
        self.connections = Level(
            "kzproxy_connections", "Client connections open.", registry=registry
        )
        self.tasks = Gauge("kzproxy_tasks", "Tasks of the event loop.", registry=registry)
        self.handshake_failures = Counter(
            "kzproxy_handshake_failures", "TLS handshakes that failed.", registry=registry
        )
        self.accept_failures = Counter(
            "kzproxy_accept_failures", "Times accepting had to rest.", registry=registry
        )
        self.refused_connections = Counter(
            "kzproxy_connections_refused",
            "Connections over a limit or of nobody listed, closed at accept.",
            ["limit"],
            registry=registry,
        )
        self.upstream_connections = Counter(
            "kzproxy_upstream_connections", "Connections made to kube-apiserver.", registry=registry
        )
        self.upstream_rejections = Counter(
            "kzproxy_upstream_rejections",
            "Answers naming kzproxy's own account: an alarm, impersonation is broken.",
            ["code"],
            registry=registry,
        )
        # Alarms are shown from the start: Prometheus sees no increase in what begins at 1.
        self.upstream_rejections.labels("403")
        self.signals = Counter(
            "kzproxy_signals",
            "Signals by stream, event and what became of them.",
            ["stream", "event", "outcome"],
            registry=registry,
        )
        self.stream_verified = Gauge(
            "kzproxy_signal_stream_verified_timestamp_seconds",
            "When a stream was last shown to work from end to end, in seconds since 1970.",
            ["stream"],
            registry=registry,
        )
        self.reverifications = Counter(
            "kzproxy_reverifications",
            "Times an identity provider was asked about a session, by what came of it.",
            ["outcome"],
            registry=registry,
        )
        self.reverification_lag = Gauge(
            "kzproxy_reverification_lag_seconds",
            "By how much the session that waits longest is over its time.",
            registry=registry,
        )
        self.reloads = Counter(
            "kzproxy_config_reloads",
            "Times the configuration was read again, by outcome.",
            ["outcome"],
            registry=registry,
        )
        self.reload_success = Gauge(
            "kzproxy_config_reload_success",
            "Whether the configuration as last read is in force.",
            registry=registry,
        )
        self.reload_success.set(1)
        self.build_info = Gauge("kzproxy_build_info", "Always 1.", ["version"], registry=registry)
        self.build_info.labels(version).set(1)

    def count_disagreement(self, decision: str, shadow: str) -> None:
        """Count one decision that a shadow policy would have taken otherwise."""
        self.shadow_disagreements.labels(decision, shadow).inc()

    def expect_signals(self, stream: str, event: str, outcomes: Sequence[str]) -> None:
        """Show these from now on, with 0."""
        for outcome in outcomes:
            self.signals.labels(stream, event, outcome)

    def count_signal(self, stream: str, event: str, outcome: str) -> None:
        """Count one signal, or what was sent as one."""
        self.signals.labels(stream, event, outcome).inc()

    def follow(self, name: str, documentation: str, read: Callable[[], int]) -> None:
        """Show a total that another part counts by itself; ``read`` is called at each scrape."""
        self._follow(name, documentation, "counter", lambda: [("_total", (), read())])

    def follow_each(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str],
        read: Callable[[], Mapping[tuple[str, ...], int]],
    ) -> None:
        """Show totals by the values of ``labels``, as another part has them at each scrape."""
        self._follow(name, documentation, "counter", lambda: samples("_total", labels, read()))

    def follow_gauges(
        self,
        name: str,
        documentation: str,
        labels: Sequence[str],
        read: Callable[[], Mapping[tuple[str, ...], int]],
    ) -> None:
        """Show numbers by the values of ``labels``, as another part has them at each scrape."""
        self._follow(name, documentation, "gauge", lambda: samples("", labels, read()))

    def follow_state(self, name: str, documentation: str, read: Callable[[], bool]) -> None:
        """Show 1 or 0, as another part has it at each scrape."""
        self._follow(name, documentation, "gauge", lambda: [("", (), read())])

    def _follow(
        self, name: str, documentation: str, kind: str, read: Callable[[], Sequence[Sample]]
    ) -> None:
        def family() -> Family:
            return Family(name=name, documentation=documentation, kind=kind, samples=read())

        self._registry.register(name, family)

    def exposition(self) -> bytes:
        """Return all of them in the Prometheus text format."""
        return self._registry.exposition()


class SupervisorMetrics:
    """What a supervisor counts itself, beside what its workers show."""

    def __init__(self) -> None:
        self._registry = registry = Registry()
        self.workers = Gauge("kzproxy_workers", "Workers running.", registry=registry)
        self.restarts = Counter(
            "kzproxy_worker_restarts",
            "Workers started again because they had ended.",
            registry=registry,
        )

    def exposition(self) -> bytes:
        """Return all of them in the Prometheus text format."""
        return self._registry.exposition()

"""What the lint found."""

from enum import StrEnum

import msgspec

from kzproxy.policy_tools.policy_text import Place


class Severity(StrEnum):
    """Whether a finding fails a check by itself, or only a strict one."""

    ERROR = "error"
    WARNING = "warning"


class Lint(StrEnum):
    """What is looked for; docs/policy.md explains each."""

    ALWAYS_DENIED = "always-denied"
    NEVER_MATCHES = "never-matches"
    COVERED = "covered"
    NETWORK_ONLY = "network-only"
    COUNTRY_LEFT_OUT = "country-left-out"
    WILDCARD = "wildcard"
    OWN_ENDPOINTS = "own-endpoints"
    UNUSED = "unused"
    EXPIRED = "expired"
    DENY_CAN_ERROR = "deny-can-error"
    UNMEETABLE = "unmeetable"
    CLUSTER_SCOPED = "cluster-scoped"
    CREATE_ALONE = "create-alone"
    VERB_ALONE = "verb-alone"
    READ_BY_CHANGE = "read-by-change"
    ALL_AT_ONCE = "all-at-once"
    UNKNOWN_RESOURCE = "unknown-resource"
    UNKNOWN_CHECK = "unknown-check"
    POSTURE_AGE = "posture-age"
    NOT_SHOWN = "not-shown"


SEVERITIES = {
    Lint.ALWAYS_DENIED: Severity.ERROR,
    Lint.NEVER_MATCHES: Severity.ERROR,
    Lint.COVERED: Severity.WARNING,
    Lint.NETWORK_ONLY: Severity.ERROR,
    Lint.COUNTRY_LEFT_OUT: Severity.WARNING,
    Lint.WILDCARD: Severity.WARNING,
    Lint.OWN_ENDPOINTS: Severity.WARNING,
    Lint.UNUSED: Severity.WARNING,
    Lint.EXPIRED: Severity.WARNING,
    Lint.DENY_CAN_ERROR: Severity.WARNING,
    Lint.UNMEETABLE: Severity.ERROR,
    Lint.CLUSTER_SCOPED: Severity.WARNING,
    Lint.CREATE_ALONE: Severity.WARNING,
    Lint.VERB_ALONE: Severity.WARNING,
    Lint.READ_BY_CHANGE: Severity.WARNING,
    Lint.ALL_AT_ONCE: Severity.WARNING,
    Lint.UNKNOWN_RESOURCE: Severity.WARNING,
    Lint.UNKNOWN_CHECK: Severity.WARNING,
    Lint.POSTURE_AGE: Severity.WARNING,
    Lint.NOT_SHOWN: Severity.WARNING,
}


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that is hardly meant as it is written.

    Attributes:
        rule: Its id; empty where no rule is meant.
    """

    lint: Lint
    place: Place
    rule: str
    message: str

    @property
    def severity(self) -> Severity:
        """What the lint weighs."""
        return SEVERITIES[self.lint]

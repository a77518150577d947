"""Look for what is hardly meant as it is written."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from kzproxy.config.mistakes import Mistakes
from kzproxy.policy_tools.finding import Finding
from kzproxy.policy_tools.lint_all_at_once import all_at_once
from kzproxy.policy_tools.lint_conditions import (
    country_left_out,
    deny_that_can_error,
    network_only,
    wildcard,
)
from kzproxy.policy_tools.lint_creation import create_alone
from kzproxy.policy_tools.lint_definitions import expired, unused
from kzproxy.policy_tools.lint_matches import cluster_scoped, never_matches
from kzproxy.policy_tools.lint_obligations import unmeetable
from kzproxy.policy_tools.lint_order import always_denied, covered
from kzproxy.policy_tools.lint_other_verbs import read_by_change, verb_alone
from kzproxy.policy_tools.lint_own_endpoints import own_endpoints
from kzproxy.policy_tools.lint_posture import (
    low_tiers,
    not_shown,
    posture_of_any_age,
    unknown_checks,
)
from kzproxy.policy_tools.lint_resources import unknown_resources
from kzproxy.policy_tools.policy_text import PolicyText, load_policy_text


class CheckOptions(msgspec.Struct, frozen=True, kw_only=True):
    """How to look.

    Attributes:
        at: When it is, for dates that are over.
        allow_network_only: Whether an allow rule may rest on the network alone.
    """

    at: datetime
    allow_network_only: bool = False


_LINTS: tuple[Callable[[PolicyText], Iterable[Finding]], ...] = (
    never_matches,
    always_denied,
    covered,
    wildcard,
    own_endpoints,
    unused,
    deny_that_can_error,
    country_left_out,
    unmeetable,
    cluster_scoped,
    create_alone,
    verb_alone,
    read_by_change,
    all_at_once,
    unknown_resources,
    unknown_checks,
    posture_of_any_age,
    not_shown,
    low_tiers,
)


def check_policies(paths: Sequence[Path], options: CheckOptions) -> tuple[Finding, ...]:
    """Return what is suspicious in ``paths``, which are one policy, sorted by place.

    Raises:
        ConfigurationError: They are no policy; all mistakes at once.
    """
    mistakes = Mistakes()
    _, text = load_policy_text(paths, mistakes)
    mistakes.raise_if_any()
    found = [finding for lint in _LINTS for finding in lint(text)]
    found += expired(text, options.at)
    if not options.allow_network_only:
        found += network_only(text)
    return tuple(sorted(found, key=lambda finding: (finding.place, finding.lint)))

"""Rules that permit kzproxy's own endpoints and do not look it."""

from collections.abc import Iterator

from msgspec.structs import replace

from kzproxy.attributes.request_info import OWN_ROOT
from kzproxy.policy.vocabulary import ALL
from kzproxy.policy_tools.covering import covering
from kzproxy.policy_tools.finding import Finding, Lint
from kzproxy.policy_tools.lint_order import is_unconditional
from kzproxy.policy_tools.policy_text import MatchText, PolicyText, RuleText


def own_endpoints(text: PolicyText) -> Iterator[Finding]:
    """Find allow rules with a ``*`` that reaches kzproxy's own endpoints, and says nothing of them.

    A rule that names them too means them, and where a deny rule keeps its people out there is
    nothing to say.
    """
    denies = [rule for rule in text.rules if rule.effect == "deny" and is_unconditional(rule)]
    for rule in text.rules:
        if rule.effect != "allow" or _names_them(rule):
            continue
        for match in rule.matches:
            wide = [url for url in match.urls if _reaches_them(url)]
            if wide and not covering(_on_them(rule, match), denies):
                yield Finding(
                    lint=Lint.OWN_ENDPOINTS,
                    place=match.place,
                    rule=rule.id,
                    message=f"{' and '.join(wide)} in nonResourceURLs permits kzproxy's own"
                    " endpoints too, which show and change everybody's sessions and devices; name"
                    f" the paths that are meant, and {OWN_ROOT}/* where these are",
                )


def _names_them(rule: RuleText) -> bool:
    return any(url.startswith(OWN_ROOT) for match in rule.matches for url in match.urls)


def _reaches_them(url: str) -> bool:
    return url.endswith(ALL) and OWN_ROOT.startswith(url.removesuffix(ALL))


def _on_them(rule: RuleText, match: MatchText) -> RuleText:
    """Return what of ``rule`` is on kzproxy's own endpoints."""
    return replace(rule, matches=(replace(match, urls=(f"{OWN_ROOT}/*",)),))

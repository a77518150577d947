"""Random policies in the small world of ``asking``."""

from hypothesis import strategies as st

from tests.policy_tools.policies import rule

NETWORKS = 'networks: {office: ["192.0.2.0/24"]}\n'
DEFINITIONS = (
    f"{NETWORKS}calendars:\n  hours:\n    timeZone: Europe/Prague\n"
    '    weekly: [{days: [Mon, Tue, Wed, Thu, Fri], from: "07:00", to: "20:00"}]\n'
    '    except: [{from: "2026-03-05", to: "2026-03-06"}]\n'
    "conditions:\n  on-site: {networks: [office], time: [hours]}\n"
    "  trusted: {device: {enrolled: true}}\n"
    "tiers:\n- {level: 1, name: known, conditions: {device: {enrolled: true}}}\n"
)


def some(words):
    """Strategy for a list of some of ``words``, as YAML."""
    return st.lists(st.sampled_from(words), min_size=1, max_size=3, unique=True).map(
        lambda found: "[" + ", ".join(f'"{word}"' for word in found) + "]"
    )


@st.composite
def matches(draw, effect):
    """Strategy for one entry of a match."""
    if draw(st.integers(0, 5)) == 0:
        urls = draw(some(["/api", "/api/*", "/healthz", "*"]))
        return f"{{verbs: {draw(some(['get', 'post', '*']))}, nonResourceURLs: {urls}}}"
    # A deny rule on pods/* must say whether it means connections.
    wide = "pods/*" if effect == "allow" else "*/log"
    resources = draw(
        some(["pods", "pods/log", "secrets", "*", wide]) | st.just('["*", "!secrets"]')
    )
    fields = [
        f"verbs: {draw(some(['get', 'list', 'create', '*']))}",
        f"apiGroups: {draw(some(['', 'apps', '*']))}",
        f"resources: {resources}",
    ]
    if draw(st.booleans()):
        fields.append(f"namespaces: {draw(some(['dev', 'dev-*', 'prod', '*']))}")
    if draw(st.integers(0, 5)) == 0:
        fields.append("namespaceSelector: {matchLabels: {env: prod}}")
    if draw(st.integers(0, 3)) == 0:
        fields.append(f"names: {draw(some(['web', 'web-*', '*']))}")
    return "{" + ", ".join(fields) + "}"


_CONDITIONS = (
    "networks: [office]",
    "time: [hours]",
    "all: [on-site]",
    "any: [on-site, trusted]",
    "none: [on-site]",
)
_OF_EFFECT = {
    "allow": ("device: {enrolled: true}", "device: {tier: 1}", "authentication: {maxAge: 1h}"),
    "deny": ("device: {enrolled: false}", "device: {belowTier: 1}"),
}
_OBLIGATIONS = (
    "reason: required",
    "mfa: {maxAge: 1h, classes: [phr]}",
    "readOnly: true",
    "idle: 5m",
)


@st.composite
def further_fields(draw, effect):
    """Strategy for what a rule asks besides subjects and match; often nothing."""
    fields = []
    if draw(st.booleans()):
        known = [*_CONDITIONS, *_OF_EFFECT[effect]]
        asked = draw(
            st.lists(
                st.sampled_from(known),
                min_size=1,
                max_size=2,
                unique_by=lambda one: one.partition(":")[0],
            )
        )
        fields.append("conditions: {" + ", ".join(asked) + "}")
    if draw(st.integers(0, 5)) == 0:
        fields.append('when: \'"office" in source.networks || request.name == "web"\'')
    if effect == "allow" and draw(st.integers(0, 3)) == 0:
        asked = draw(st.lists(st.sampled_from(_OBLIGATIONS), min_size=1, max_size=2, unique=True))
        fields.append("obligations: {" + ", ".join(asked) + "}")
    return ", ".join(fields)


@st.composite
def policies(draw):
    """Strategy for the rules of a policy that may use what ``DEFINITIONS`` defines."""
    rules = ""
    for number in range(draw(st.integers(2, 5))):
        effect = draw(st.sampled_from(["allow", "allow", "deny"]))
        groups = draw(some(["g", "h", "system:authenticated"]))
        more = draw(further_fields(effect))
        rules += rule(f"r{number}", effect, draw(matches(effect)), more, groups)
    return rules

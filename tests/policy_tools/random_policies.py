"""Random policies in the small world of ``asking``."""

from hypothesis import strategies as st

from tests.policy_tools.policies import rule

NETWORKS = 'networks: {office: ["192.0.2.0/24"]}\n'


def some(words):
    """Strategy for a list of some of ``words``, as YAML."""
    return st.lists(st.sampled_from(words), min_size=1, max_size=3, unique=True).map(
        lambda found: "[" + ", ".join(f'"{word}"' for word in found) + "]"
    )


@st.composite
def matches(draw):
    """Strategy for one entry of a match."""
    if draw(st.integers(0, 5)) == 0:
        urls = draw(some(["/api", "/api/*", "/healthz", "*"]))
        return f"{{verbs: {draw(some(['get', 'post', '*']))}, nonResourceURLs: {urls}}}"
    resources = draw(some(["pods", "pods/log", "secrets", "*", "pods/*", "*/log"]))
    fields = [
        f"verbs: {draw(some(['get', 'list', 'create', 'delete', '*']))}",
        f"apiGroups: {draw(some(['', 'apps', '*']))}",
        f"resources: {resources}",
    ]
    if draw(st.booleans()):
        fields.append(f"namespaces: {draw(some(['dev', 'dev-*', 'prod', '*']))}")
    if draw(st.integers(0, 3)) == 0:
        fields.append(f"names: {draw(some(['web', 'web-*', '*']))}")
    return "{" + ", ".join(fields) + "}"


@st.composite
def policies(draw):
    """Strategy for the rules of a policy that may name the network office."""
    rules = ""
    for number in range(draw(st.integers(2, 5))):
        effect = draw(st.sampled_from(["allow", "deny"]))
        enrolled = "true" if effect == "allow" else "false"
        more = draw(
            st.sampled_from(
                [
                    "",
                    "",
                    "conditions: {networks: [office]}",
                    f"conditions: {{device: {{enrolled: {enrolled}}}}}",
                    f"conditions: {{networks: [office], device: {{enrolled: {enrolled}}}}}",
                ]
            )
        )
        groups = draw(some(["g", "h", "system:authenticated"]))
        rules += rule(f"r{number}", effect, draw(matches()), more, groups)
    return rules

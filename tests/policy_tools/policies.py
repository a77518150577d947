"""Small policies as text."""

from pathlib import Path

from kzproxy.config.access_policy import load_access_policies
from kzproxy.config.mistakes import Mistakes
from kzproxy.policy.rules import AccessPolicySet
from kzproxy.policy_tools.policy_text import PolicyText, load_policy_text

HEAD = "apiVersion: kzproxy.dev/v1\nkind: AccessPolicy\nmetadata: {name: p}\n"


def written(directory: Path, rules: str, definitions: str = "") -> Path:
    """Write a policy whose ``rules`` are the items of a YAML list."""
    path = directory / "policy.yaml"
    path.write_text(f"{HEAD}{definitions}rules:\n{rules}")
    return path


def loaded(path: Path) -> AccessPolicySet:
    """Load a policy that must be one."""
    mistakes = Mistakes()
    policies = load_access_policies([path], mistakes)
    mistakes.raise_if_any()
    return policies


def text_of(path: Path) -> PolicyText:
    """Return what stands in a policy that must be one."""
    mistakes = Mistakes()
    _, text = load_policy_text([path], mistakes)
    mistakes.raise_if_any()
    return text


def rule(name: str, effect: str, match: str, more: str = "", groups: str = "[g]") -> str:
    """Return one rule; ``match`` is one entry in flow style, ``more`` further fields."""
    return (
        f"- {{id: {name}, effect: {effect}, subjects: {{groups: {groups}}},"
        f" match: [{match}]{', ' + more if more else ''}}}\n"
    )


PODS = '{verbs: [get], apiGroups: [""], resources: [pods]}'
EVERYTHING = '{verbs: ["*"], apiGroups: ["*"], resources: ["*"]}'

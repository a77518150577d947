"""The two policies that take turns, and one that cannot be read."""

import json

from bench.policy import PREFIX
from soak.stage import PROBES

BAD = '{"apiVersion": "kzproxy.dev/v1", "kind": "AccessPolicy", "rules": [{"id": '


def policy(hidden: str) -> str:
    """Return a policy that lets engineers on devices do everything, but look at one ConfigMap."""
    engineers = {"groups": [f"{PREFIX}engineers"]}
    enrolled = {"device": {"enrolled": True}}
    everything = [
        {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]},
        {"verbs": ["*"], "nonResourceURLs": ["*"]},
    ]
    hiding = {"verbs": ["get"], "apiGroups": [""], "resources": ["configmaps"], "names": [hidden]}
    rules = [
        {
            "id": "everything",
            "effect": "allow",
            "subjects": engineers,
            "match": everything,
            "conditions": enrolled,
        },
        {"id": f"hide-{hidden}", "effect": "deny", "subjects": engineers, "match": [hiding]},
    ]
    document = {
        "apiVersion": "kzproxy.dev/v1",
        "kind": "AccessPolicy",
        "metadata": {"name": "soak"},
        "rules": rules,
    }
    return json.dumps(document, indent=1)


def other(hidden: str) -> str:
    """Return the probe that is not ``hidden``."""
    one, two = PROBES
    return two if hidden == one else one

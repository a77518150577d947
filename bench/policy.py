"""A policy of a hundred mixed rules, and requests that it permits."""

from typing import Any

PREFIX = "bench:"
TEAMS = 40
RULES = 100
_WRITES = ["get", "list", "watch", "create", "update", "patch", "delete"]
_READS = ["get", "list", "watch"]
_WORKLOADS = ["pods", "pods/log", "configmaps", "services", "deployments", "jobs"]
_GROUPS = ["", "apps", "batch"]
_NEVER_NEEDED = "Ask the owners of the namespace."

Rule = dict[str, Any]


def policy() -> dict[str, Any]:
    """Return the document: forty teams, twenty projects, fifteen people, ten URLs, 15 denials."""
    rules = [
        *(_team(number) for number in range(TEAMS)),
        *(_project(number) for number in range(20)),
        *(_person(number) for number in range(15)),
        *(_url(number) for number in range(10)),
        *(_denial(number) for number in range(15)),
    ]
    return {
        "apiVersion": "kzproxy.dev/v1",
        "kind": "AccessPolicy",
        "metadata": {"name": "bench"},
        "networks": {"here": ["127.0.0.0/8"], "office": ["203.0.113.0/24", "198.51.100.0/24"]},
        "calendars": {
            "always": {
                "timeZone": "Europe/Prague",
                "weekly": [{"days": _DAYS, "from": "00:00", "to": "24:00"}],
            },
            "office-hours": {
                "timeZone": "Europe/Prague",
                "weekly": [{"days": _DAYS[:5], "from": "07:00", "to": "20:00"}],
            },
        },
        "rules": rules,
    }


def groups_of(number: int) -> list[str]:
    """Return the groups of an identity, as its token names them."""
    return [
        f"team-{number % TEAMS}",
        f"project-{number % 20}",
        f"floor-{number % 7}",
        "engineers",
        "everyone-at-example",
    ]


def targets() -> list[str]:
    """Return fifty targets that every identity may get, in kubectl's and controllers' mixture."""
    pods = [f"/api/v1/namespaces/apps-{n}/pods/web-{n:02}-5d8f7c9b6-x{n:04}" for n in range(20)]
    maps = [f"/api/v1/namespaces/apps-{n}/configmaps/settings-{n}" for n in range(10)]
    lists = [f"/api/v1/namespaces/apps-{n}/services?limit=500" for n in range(10)]
    apps = [f"/apis/apps/v1/namespaces/apps-{n}/deployments/web-{n:02}" for n in range(8)]
    return [*pods, *maps, *lists, *apps, "/version", "/api/v1"]


_DAYS = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]


def _team(number: int) -> Rule:
    return {
        "id": f"team-{number}",
        "effect": "allow",
        "subjects": {"groups": [f"{PREFIX}team-{number}"]},
        "match": [
            {
                "verbs": _WRITES,
                "apiGroups": _GROUPS,
                "resources": _WORKLOADS,
                "namespaces": [f"team-{number}", f"team-{number}-*", "apps-*"],
            },
            {
                "verbs": ["connect"],
                "apiGroups": [""],
                "resources": ["pods/exec", "pods/attach", "pods/portforward"],
                "namespaces": [f"team-{number}"],
            },
        ],
        "conditions": {"device": {"enrolled": True}},
    }


def _project(number: int) -> Rule:
    conditions = ({"time": ["always"]}, {"networks": ["here"]}, {"networks": ["office"]})
    return {
        "id": f"project-{number}",
        "effect": "allow",
        "subjects": {"groups": [f"{PREFIX}project-{number}"]},
        "match": [
            {
                "verbs": _READS,
                "apiGroups": _GROUPS,
                "resources": ["pods", "configmaps", "deployments"],
                "namespaces": [f"project-{number}", f"apps-{number}"],
            }
        ],
        "conditions": {**conditions[number % 3], "device": {"enrolled": True}},
    }


def _person(number: int) -> Rule:
    return {
        "id": f"person-{number}",
        "effect": "allow",
        "subjects": {"users": [f"{PREFIX}user-{number:04}", f"{PREFIX}user-{number + 50:04}"]},
        "match": [
            {
                "verbs": _WRITES,
                "apiGroups": ["*"],
                "resources": ["*"],
                "namespaces": [f"home-{number}"],
            }
        ],
        "conditions": {"time": ["office-hours"]} if number % 2 else {"networks": ["here"]},
    }


def _url(number: int) -> Rule:
    paths = ("/version", "/api", "/api/*", "/apis", "/apis/*", "/openapi/*", "/healthz/*")
    everyone = "system:authenticated" if number < len(paths) else f"{PREFIX}floor-{number % 7}"
    return {
        "id": f"url-{number}",
        "effect": "allow",
        "subjects": {"groups": [everyone]},
        "match": [{"verbs": ["get"], "nonResourceURLs": [paths[number % len(paths)]]}],
    }


def _denial(number: int) -> Rule:
    """Each is a candidate for some of the requests, and matches none."""
    matches: tuple[Rule, ...] = (
        {"verbs": _READS, "apiGroups": [""], "resources": ["secrets"]},
        {
            "verbs": ["*"],
            "apiGroups": [""],
            "resources": ["pods", "configmaps"],
            "namespaces": [f"vault-{number}", "kube-*"],
        },
        {
            "verbs": ["get", "delete"],
            "apiGroups": ["", "apps"],
            "resources": ["configmaps", "deployments"],
            "names": [f"root-{number}-*"],
        },
    )
    everyone = {"groups": ["system:authenticated"]}
    engineers = {"groups": [f"{PREFIX}engineers"]}
    return {
        "id": f"denial-{number}",
        "effect": "deny",
        "subjects": engineers if number % 5 else everyone,
        "match": [matches[number % 3]],
        "message": _NEVER_NEEDED,
    }

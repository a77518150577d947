"""kzproxy's own account in the demo's cluster: it may act for others and do nothing by itself.

What it may do is what ``deploy/rbac`` grants. A wheel does not hold that directory, so its two
files lie in ``manifests`` too; a test compares them. In a cluster that is not the demo's own
the account goes by other names, so that an installed kzproxy is left alone.
"""

import json
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import yaml

from kzproxy.demo.idp_users import DEMO_USERS
from kzproxy.demo.kubectl import Kubectl
from kzproxy.demo.sample import LABEL, NAME_PREFIX

TOKEN_VALIDITY = timedelta(hours=2)
TOKEN_RENEWAL = timedelta(minutes=30)
"""Well before its end, so that a few failed renewals do no harm."""

RIGHTS = Path(__file__).with_name("manifests")
CONSTRAINED, LEGACY = "impersonation-constrained.yaml", "impersonation-legacy.yaml"
_CONSTRAINED_SINCE_MINOR = 36

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountNames:
    """What the account and its rights are called."""

    namespace: str
    account: str
    role: str


OWN_CLUSTER = AccountNames(namespace="kzproxy", account="kzproxy", role="kzproxy-impersonation")
OTHER_CLUSTER = AccountNames(
    namespace="kzproxy-demo", account="kzproxy-demo", role="kzproxy-demo-impersonation"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyAccount:
    """Makes the account and its tokens through an administrator's kubectl."""

    kubectl: Kubectl
    names: AccountNames

    def manifests(self, *, legacy: bool) -> list[Manifest]:
        """Return namespace, account and rights.

        Args:
            legacy: For clusters without constrained impersonation (before 1.36).
        """
        text = (RIGHTS / (LEGACY if legacy else CONSTRAINED)).read_text()
        rights: list[Manifest] = list(yaml.safe_load_all(text))
        return [
            _labelled("v1", "Namespace", name=self.names.namespace),
            _labelled(
                "v1", "ServiceAccount", name=self.names.account, namespace=self.names.namespace
            ),
            *(self._renamed(document) for document in rights),
        ]

    def create(self) -> None:
        """Apply the manifests that go with the cluster's version. Safe to repeat.

        Raises:
            ControlPlaneError: kubectl says no.
        """
        version = json.loads(self.kubectl.run("version", "--output=json"))
        items = self.manifests(legacy=is_legacy(version["serverVersion"]["minor"]))
        self.kubectl.run(
            *("apply", "--server-side", "--force-conflicts", "--filename=-"),
            stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": items}),
        )

    def token(self) -> str:
        """Return a new token; it is a credential."""
        return self.kubectl.run(
            *("create", "token", self.names.account, f"--namespace={self.names.namespace}"),
            f"--duration={int(TOKEN_VALIDITY.total_seconds())}s",
        ).strip()

    def _renamed(self, document: Manifest) -> Manifest:
        metadata = _labelled("", "", name=self.names.role)["metadata"]
        renamed = {**document, "metadata": metadata}
        if "roleRef" in document:
            renamed["roleRef"] = {**document["roleRef"], "name": self.names.role}
            subject = {"name": self.names.account, "namespace": self.names.namespace}
            renamed["subjects"] = [{"kind": "ServiceAccount", **subject}]
        if "rules" in document:
            renamed["rules"] = [_for_demo_groups(rule) for rule in document["rules"]]
        return renamed


def is_legacy(minor: str) -> bool:
    """Return whether Kubernetes 1.``minor`` (``35``, ``35+``) lacks constrained impersonation."""
    digits = "".join(character for character in minor if character.isdecimal())
    return int(digits or 0) < _CONSTRAINED_SINCE_MINOR


def _for_demo_groups(rule: Manifest) -> Manifest:
    """Name the demo's groups where the rule names groups one by one."""
    if "resourceNames" not in rule:
        return rule
    groups = {NAME_PREFIX + group for user in DEMO_USERS for group in user.groups}
    return {**rule, "resourceNames": ["system:authenticated", *sorted(groups)]}


def _labelled(api_version: str, kind: str, **metadata: object) -> Manifest:
    key, _, value = LABEL.partition("=")
    labels = {key: value}
    return {"apiVersion": api_version, "kind": kind, "metadata": {**metadata, "labels": labels}}

"""kzproxy with two workers that keep sessions."""

import base64
import json
import os

from bench.policy import PREFIX
from bench.systems.kzproxy import Kzproxy
from kzproxy.demo.loopback_ports import free_ports

WATCHERS, LEAVERS = "watchers", "leavers"
"""Groups of those who have sessions; the policy that is put in place later has no rule for the
second."""

ADMINISTRATOR = f"{PREFIX}user-0000"
_A_DAY_SECONDS = 86400


class Keeping(Kzproxy):
    """Everything on, and a store."""

    name = "kzproxy with sessions"

    def command(self) -> list[str]:
        """Write its files; return what starts it."""
        command, directory = super().command(), self.site.directory
        (port,) = free_ports(1)
        self.sign_in_url = f"https://localhost:{port}"
        (directory / "store.keys").write_text(base64.b64encode(os.urandom(32)).decode())
        (directory / "idp.secret").write_text("never asked for")
        settings = json.loads((directory / "kzproxy.yaml").read_text())
        settings |= {
            "store": {"file": "kept.db", "keysFile": "store.keys"},
            # The provider is asked by no part of this: sessions begin confirmed for a day.
            "sessions": {"reverifySeconds": _A_DAY_SECONDS, "perUser": 1000},
            "signIn": {
                "address": f"127.0.0.1:{port}",
                "url": self.sign_in_url,
                "providers": [
                    {
                        "issuer": self.site.world.issuer_url,
                        "clientID": "kzproxy",
                        "clientSecretFile": "idp.secret",
                    }
                ],
            },
        }
        self._write("kzproxy.yaml", settings)
        self.put_policy(leavers=True)
        return [*command, "--workers", "2"]

    def put_policy(self, *, leavers: bool) -> None:
        """Put a policy in place in one step: that of all systems, and rules for sessions."""
        policy = json.loads((self.site.world.directory / "policy.yaml").read_text())
        policy["rules"] += [_watching(WATCHERS), _administering()]
        policy["rules"] += [_watching(LEAVERS)] if leavers else []
        written = self.site.directory / "policy.new"
        written.write_text(json.dumps(policy))
        written.rename(self.site.directory / "policy.yaml")


def _watching(group: str) -> dict[str, object]:
    match = {"verbs": ["list", "watch"], "apiGroups": [""], "resources": ["pods"]}
    subjects = {"groups": [f"{PREFIX}{group}"]}
    return {"id": group, "effect": "allow", "subjects": subjects, "match": [match]}


def _administering() -> dict[str, object]:
    match = {"verbs": ["*"], "nonResourceURLs": ["/kzproxy.dev/v1/sessions/*"]}
    subjects = {"users": [ADMINISTRATOR]}
    return {"id": "ends-sessions", "effect": "allow", "subjects": subjects, "match": [match]}

"""The kubeconfigs of the demo: a context for each role, with a browser and without."""

import base64
import shlex
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from kzproxy.client.kubeconfig import ProxyContext
from kzproxy.client.kubeconfig_document import Entry, KubeconfigDocument
from kzproxy.client.plugin_settings import (
    FLOW_BROWSER,
    IssuerClient,
    PluginSettings,
    Prompting,
)
from kzproxy.demo.directory import DemoDirectory
from kzproxy.demo.failure import DemoFailure
from kzproxy.demo.idp_clients import KZPROXY_CLIENT
from kzproxy.demo.idp_users import DEMO_USERS, DemoUser
from kzproxy.demo.loopback_ports import LOOPBACK
from kzproxy.demo.private_file import write_private_file
from kzproxy.demo.sample import Namespaces

UNENROLLED = frozenset({"guest"})
"""Users whose contexts show no device certificate."""

_CACHE_VARIABLE = "KZPROXY_CACHE_DIR"
# The issuer is on this machine: a proxy that the environment names cannot reach it. Go programs
# such as kubectl see that by themselves (net/http ProxyFromEnvironment).
_NO_PROXY = {"NO_PROXY": LOOPBACK, "no_proxy": LOOPBACK}
_SCRIPT_SECONDS = 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubeconfigs:
    """Writes them.

    Attributes:
        plugin: How kubectl starts kzproxy.
    """

    directory: DemoDirectory
    proxy_url: str
    issuer: str
    namespaces: Namespaces
    plugin: Sequence[str]

    def write(self) -> None:
        """Write one file for browsers with all contexts, and one for each ``--as USER``."""
        everyone = KubeconfigDocument.new()
        for user in DEMO_USERS:
            self._put(everyone, user, Prompting(), self.directory.cache(user.name))
            alone = KubeconfigDocument.new()
            by_script = self.directory.cache(f"as-{user.name}")
            self._put(alone, user, self._scripted(user), by_script)
            alone.current_context = user.name
            path = self.directory.scripted_kubeconfig(user.name)
            write_private_file(path, alone.text().encode())
        everyone.current_context = DEMO_USERS[0].name
        write_private_file(self.directory.kubeconfig, everyone.text().encode())

    def _put(
        self, document: KubeconfigDocument, user: DemoUser, prompting: Prompting, cache: Path
    ) -> None:
        """Add a context. Each has a cache of its own: the sign-ins differ in the person alone."""
        context = ProxyContext(
            name=user.name,
            settings=self._settings(user, prompting),
            server_ca=base64.b64encode(self.directory.ca.read_bytes()).decode(),
            namespace=self._namespace(user),
            command=self.plugin,
        )
        entries = context.entries()
        plugin = entries["users"]["exec"]
        assert isinstance(plugin, dict)  # noqa: S101 - see ProxyContext.entries
        variables = {_CACHE_VARIABLE: str(cache), **_NO_PROXY}
        plugin["env"] = [{"name": name, "value": value} for name, value in variables.items()]
        for section, entry in entries.items():
            document.put(section, user.name, entry)

    def _settings(self, user: DemoUser, prompting: Prompting) -> PluginSettings:
        enrolled = user.name not in UNENROLLED
        return PluginSettings(
            client=IssuerClient(
                issuer=self.issuer,
                client_id=KZPROXY_CLIENT.client_id,
                ca_file=str(self.directory.ca),
            ),
            prompting=prompting,
            server=self.proxy_url,
            device_certificate=str(self.directory.device_certificate) if enrolled else "",
            device_key=str(self.directory.device_key) if enrolled else "",
        )

    def _scripted(self, user: DemoUser) -> Prompting:
        agent = [sys.executable, "-P", "-m", "kzproxy.demo.page_agent"]
        arguments = ["--user", user.name, "--ca", str(self.directory.ca)]
        return Prompting(
            flow=FLOW_BROWSER,
            browser_command=shlex.join([*agent, *arguments]),
            timeout_seconds=_SCRIPT_SECONDS,
        )

    def _namespace(self, user: DemoUser) -> str:
        is_operator = "operators" in user.groups
        return self.namespaces.prod if is_operator else self.namespaces.dev


@dataclass(frozen=True, slots=True, kw_only=True)
class PluginCall:
    """How kubectl would start the plugin for a context."""

    command: Sequence[str]
    variables: Mapping[str, str]


def plugin_call(kubeconfig: Path, user: str) -> PluginCall:
    """Read the plugin's call back from a kubeconfig.

    Raises:
        DemoFailure: There is no such user in it.
    """
    try:
        document = KubeconfigDocument.parse(kubeconfig.read_text(), str(kubeconfig))
    except OSError as error:
        raise DemoFailure(f"{kubeconfig} cannot be read: {error.strerror}") from error
    entry: Entry = document.entry("users", user) or {}
    plugin = entry.get("exec")
    if not isinstance(plugin, dict):
        raise DemoFailure(f"{kubeconfig} has no user {user!r}")
    return PluginCall(
        command=[plugin["command"], *plugin["args"]],
        variables={each["name"]: each["value"] for each in plugin["env"]},
    )

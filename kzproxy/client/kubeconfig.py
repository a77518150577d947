"""The kubeconfig context that leads through kzproxy: writing it, and reading it back."""

from collections.abc import Sequence
from dataclasses import dataclass

from kzproxy.client.exec_credential import API_VERSION
from kzproxy.client.failure import ClientFailure
from kzproxy.client.kubeconfig_document import Entry, KubeconfigDocument
from kzproxy.client.kubeconfig_files import KubeconfigFiles
from kzproxy.client.plugin_arguments import parse_arguments, to_arguments, with_overrides
from kzproxy.client.plugin_settings import PluginSettings

PLUGIN = "credential"
INSTALL_HINT = (
    "kubectl signs in here with kzproxy, which is not where this kubeconfig has it."
    " Install it (pipx install kzproxy) and run `kzproxy kubeconfig` again."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProxyContext:
    """A context to be written: cluster, user and context of one name.

    Attributes:
        name: Of all three.
        settings: Of the plugin; ``server`` is the cluster's URL as well.
        server_ca: Base64 of PEM; empty means the system's authorities.
        namespace: Empty means ``default``.
        command: What kubectl runs, and its first arguments.
    """

    name: str
    settings: PluginSettings
    server_ca: str
    namespace: str
    command: Sequence[str]

    def entries(self) -> dict[str, Entry]:
        """Return the entry of each section. There is no secret in them."""
        cluster: Entry = {"server": self.settings.server}
        if self.server_ca:
            cluster["certificate-authority-data"] = self.server_ca
        context: Entry = {"cluster": self.name, "user": self.name}
        if self.namespace:
            context["namespace"] = self.namespace
        command, *first_arguments = self.command
        plugin: Entry = {
            "apiVersion": API_VERSION,
            "command": command,
            "args": [*first_arguments, PLUGIN, *to_arguments(self.settings)],
            "installHint": INSTALL_HINT,
            "interactiveMode": "IfAvailable",
            "provideClusterInfo": True,
        }
        return {"clusters": cluster, "users": {"exec": plugin}, "contexts": context}

    def document(self, *, current: bool) -> KubeconfigDocument:
        """Return a kubeconfig with this context alone."""
        document = KubeconfigDocument.new()
        for section, entry in self.entries().items():
            document.put(section, self.name, entry)
        if current:
            document.current_context = self.name
        return document

    def merge_into(self, files: KubeconfigFiles, *, force: bool) -> None:
        """Put the entries into ``files``; nothing is written yet.

        Raises:
            ClientFailure: An entry of that name says something else, and ``force`` is not set.
        """
        for section, entry in self.entries().items():
            present = files.entry(section, self.name)
            if present == entry:
                continue
            if present is not None and not force:
                raise ClientFailure(
                    f"the kubeconfig has an entry {self.name!r} in {section} that says something"
                    " else; choose another --context, or replace it with --force"
                )
            files.put(section, self.name, entry)


def context_settings(
    files: KubeconfigFiles, name: str, overrides: Sequence[str] = ()
) -> PluginSettings:
    """Return the plugin's settings in a context.

    Args:
        files: Where to look.
        name: Of the context; empty means the current one.
        overrides: Plugin arguments that count more than the context's.

    Raises:
        ClientFailure: There is no such context, or it does not use kzproxy.
    """
    name = name or files.current_context
    if not name:
        raise ClientFailure("the kubeconfig has no current context; name one with --context")
    context = files.entry("contexts", name)
    if context is None:
        raise ClientFailure(f"the kubeconfig has no context {name!r}")
    user = files.entry("users", str(context.get("user"))) or {}
    cluster = files.entry("clusters", str(context.get("cluster"))) or {}
    settings = parse_arguments(with_overrides(_plugin_arguments(user, name), overrides))
    return settings.for_server(settings.server or str(cluster.get("server") or "").rstrip("/"))


def _plugin_arguments(user: Entry, name: str) -> list[str]:
    plugin = user.get("exec")
    arguments = plugin.get("args") if isinstance(plugin, dict) else None
    if not isinstance(arguments, list) or PLUGIN not in arguments:
        raise ClientFailure(
            f"the context {name!r} does not sign in with kzproxy; make one that does with"
            " `kzproxy kubeconfig`"
        )
    after = arguments[arguments.index(PLUGIN) + 1 :]
    return [str(argument) for argument in after]

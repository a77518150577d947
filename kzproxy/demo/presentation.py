"""What ``kzproxy demo`` prints once it runs: what there is, and three commands worth trying."""

import shlex
from datetime import datetime
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from kzproxy.demo.demo import Demo, plugin_command
from kzproxy.demo.idp_users import DEMO_USERS

_COMMAND = "bold cyan"
_NAME_COLUMNS = 19


def introduction(demo: Demo, now: datetime) -> RenderableType:
    """Return it; ``now`` is aware."""
    return Group(
        Text("kzproxy demo runs, on this machine only. Ctrl-C ends it.", style="bold green"),
        "",
        *_places(demo),
        "",
        Text("Contexts; in the browser, sign in as the user of the same name:", style="bold"),
        *_roles(demo, now),
        "",
        Text("Three commands worth trying, in another terminal:", style="bold"),
        *_commands(demo, now),
        Text(
            "A browser opens for each context's first sign-in, and warns of the demo's certificate"
            f" ({demo.directory.ca}): accept it. Without a browser:"
        ),
        Text(f"  {_without_browser(demo)}", style=_COMMAND),
        "",
        Text("Decisions, as they fall:", style="bold"),
    )


def _places(demo: Demo) -> list[Text]:
    endpoints, directory = demo.endpoints, demo.directory
    cluster = "its own control plane" if demo.cluster.is_own else "another cluster"
    return [
        _row("kzproxy", endpoints.proxy_url),
        _row("  in front of", f"{endpoints.api_server} ({cluster})"),
        _row("  metrics, health", f"http://{endpoints.ops}/metrics and /readyz"),
        _row("identity provider", f"{endpoints.issuer} (demo: it asks for no password)"),
        _row("kubeconfig", str(directory.kubeconfig)),
        _row("policy", str(directory.policy)),
        _row("decision log", str(directory.decisions)),
    ]


def _roles(demo: Demo, now: datetime) -> list[Text]:
    rows = {user.name: _row(f"  {user.name}", user.role) for user in DEMO_USERS}
    rows["operator"].append(f" {_hours(demo, now)}", style="yellow")
    return list(rows.values())


def _hours(demo: Demo, now: datetime) -> str:
    state = "open" if demo.hours.open_at(now) else "closed"
    return f"Hours: {demo.hours}, {state} now."


def _commands(demo: Demo, now: datetime) -> list[Text]:
    places = demo.cluster.namespaces
    expected = "let in" if demo.hours.open_at(now) else "refused now, outside working hours"
    tries = (
        ("developer", f"get pods -n {places.dev}", "let in, from an enrolled device"),
        ("guest", f"get pods -n {places.dev}", "refused, with the reason and the audit id"),
        ("operator", f"exec -n {places.prod} {places.prod_pod} -- date", expected),
    )
    lines: list[Text] = []
    for context, arguments, outcome in tries:
        lines.append(Text(f"  # {outcome}", style="dim"))
        lines.append(Text(f"  {_kubectl(demo, context)} {arguments}", style=_COMMAND))
    return [*lines, Text("")]


def _kubectl(demo: Demo, context: str) -> str:
    kubectl, kubeconfig = demo.cluster.kubectl.program, demo.directory.kubeconfig
    return f"{_quoted(kubectl)} --kubeconfig {_quoted(kubeconfig)} --context {context}"


def _without_browser(demo: Demo) -> str:
    demo_command = f"{shlex.join(plugin_command())} demo --dir {_quoted(demo.directory.root)}"
    return f"{demo_command} --as guest -- kubectl get pods -n {demo.cluster.namespaces.dev}"


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def _row(name: str, value: str) -> Text:
    return Text.assemble((f"{name:<{_NAME_COLUMNS}}", "dim"), value)

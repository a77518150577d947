"""The command line of ``kzproxy credential``, to and from ``PluginSettings``.

Read by hand: importing argparse takes as long as the whole of a warm run
(see ``plugin_settings``).
"""

from collections.abc import Sequence

from kzproxy.client.failure import ClientFailure
from kzproxy.client.https_url import MAX_PORT, host_and_port
from kzproxy.client.plugin_settings import (
    DEFAULT_PROMPT,
    DEFAULT_TIMEOUT_SECONDS,
    FLOW_AUTO,
    FLOW_PASTE,
    FLOWS,
    SESSION_CLIENT_ID,
    IssuerClient,
    PluginSettings,
    Prompting,
)

MAX_TIMEOUT_SECONDS = 3600

# name: (what follows it, or "" for a switch; what it is for)
OPTIONS = {
    "--sign-in-url": ("URL", "the URL of kzproxy's own sign-in, where it keeps sessions"),
    "--issuer": ("URL", "the OpenID issuer to sign in at, where kzproxy keeps none"),
    "--client-id": ("ID", "the OAuth client id that the issuer knows kzproxy's users by"),
    "--client-secret-file": ("FILE", "the client's secret, where it has one"),
    "--scope": ("SCOPE", "ask for this scope; may be repeated"),
    "--issuer-ca": ("FILE", "trust these authorities for the issuer, and no others (PEM)"),
    "--server": ("URL", "hand the credential out for this kzproxy only"),
    "--device-cert": ("FILE", "this device's certificate (PEM)"),
    "--device-key": ("FILE", "its private key (PEM)"),
    "--flow": ("|".join(FLOWS), "how to sign in; auto takes the browser where there is one"),
    "--listen-port": ("PORT", "port of 127.0.0.1 for the browser's way back; may be repeated"),
    "--browser-command": ("COMMAND", "open the browser with this; the URL is appended"),
    "--no-browser": ("", "do not open a browser, only print the URL"),
    "--timeout": ("SECONDS", f"how long signing in may take (default {DEFAULT_TIMEOUT_SECONDS})"),
    "--prompt": ("VALUE", f"OpenID `prompt`; with --issuer the default is {DEFAULT_PROMPT}"),
}
REPEATABLE = frozenset({"--scope", "--listen-port"})

# What kzproxy's own sign-in decides by itself.
_OF_ISSUERS = ("--issuer", "--client-id", "--client-secret-file", "--scope")

Values = dict[str, list[str]]


class Misused(ClientFailure):
    """The command line is wrong."""


def plugin_help() -> str:
    """Return the text of ``kzproxy credential --help``."""
    lines = [
        "Usage: kzproxy credential --sign-in-url URL [OPTIONS]",
        "       kzproxy credential --issuer URL --client-id ID [OPTIONS]",
        "",
        "kubectl's credential plugin (client.authentication.k8s.io/v1). `kzproxy kubeconfig`",
        "writes the kubeconfig entry that makes kubectl run it; there is no need to run it by",
        "hand: see `kzproxy login` and `kzproxy whoami`. Prints an ExecCredential on stdout,",
        "signing in first where that is needed, and what it has to say to a person on stderr.",
        "",
        "Options:",
    ]
    for name, (value, purpose) in OPTIONS.items():
        lines.append(f"  {f'{name} {value}'.rstrip():<39} {purpose}")
    return "\n".join(lines) + "\n"


def parse_arguments(arguments: Sequence[str]) -> PluginSettings:
    """Read a command line.

    Raises:
        Misused: With what is wrong and what is allowed.
    """
    values = _values(arguments)
    settings = PluginSettings(
        client=_session_client(values) if "--sign-in-url" in values else _issuer_client(values),
        prompting=_prompting(values),
        server=_one(values, "--server").rstrip("/"),
        device_certificate=_one(values, "--device-cert"),
        device_key=_one(values, "--device-key"),
    )
    if bool(settings.device_certificate) != bool(settings.device_key):
        raise Misused("--device-cert and --device-key go together: give both or neither")
    return settings


def to_arguments(settings: PluginSettings) -> list[str]:
    """Return the shortest command line that ``parse_arguments`` reads as ``settings``."""
    client, prompting = settings.client, settings.prompting
    timeout, prompt = prompting.timeout_seconds, prompting.prompt
    pairs = [
        ("--sign-in-url" if client.keeps_session else "--issuer", client.issuer),
        ("--client-id", "" if client.keeps_session else client.client_id),
        ("--client-secret-file", client.client_secret_file),
        *(("--scope", scope) for scope in client.scopes),
        ("--issuer-ca", client.ca_file),
        ("--server", settings.server),
        ("--device-cert", settings.device_certificate),
        ("--device-key", settings.device_key),
        ("--flow", "" if prompting.flow == FLOW_AUTO else prompting.flow),
        *(("--listen-port", str(port)) for port in prompting.listen_ports),
        ("--browser-command", prompting.browser_command),
        ("--timeout", "" if timeout == DEFAULT_TIMEOUT_SECONDS else str(timeout)),
    ]
    arguments = [f"{name}={value}" for name, value in pairs if value]
    if not prompting.opens_browser:
        arguments.append("--no-browser")
    if prompt != ("" if client.keeps_session else DEFAULT_PROMPT):
        arguments.append(f"--prompt={prompt}")
    return arguments


def with_overrides(arguments: Sequence[str], overrides: Sequence[str]) -> list[str]:
    """Return ``arguments`` with every option that ``overrides`` names taken from there.

    Raises:
        Misused: Either is not a command line of the plugin.
    """
    values = {**_values(arguments), **_values(overrides)}
    return [
        f"{name}={value}" if OPTIONS[name][0] else name
        for name, given in values.items()
        for value in given
    ]


def _values(arguments: Sequence[str]) -> Values:
    values: Values = {}
    remaining = list(arguments)
    while remaining:
        name, equals, value = remaining.pop(0).partition("=")
        if name not in OPTIONS:
            raise Misused(f"unknown argument {name!r}; allowed are {', '.join(OPTIONS)}")
        is_switch = not OPTIONS[name][0]
        if is_switch and equals:
            raise Misused(f"{name} takes no value")
        if not is_switch and not equals:
            if not remaining:
                raise Misused(f"{name} needs a value: {OPTIONS[name][0]}")
            value = remaining.pop(0)
        if name in values and name not in REPEATABLE:
            raise Misused(f"{name} is given twice")
        values.setdefault(name, []).append(value)
    return values


def _one(values: Values, name: str) -> str:
    return values.get(name, [""])[0]


def _required(values: Values, name: str) -> str:
    value = _one(values, name).strip()
    if not value:
        instead = "--sign-in-url URL or " if name == "--issuer" else ""
        raise Misused(
            f"{instead}{name} {OPTIONS[name][0]} is required; `kzproxy credential --help` lists all"
        )
    return value


def _issuer_client(values: Values) -> IssuerClient:
    return IssuerClient(
        issuer=_https_url(values, "--issuer"),
        client_id=_required(values, "--client-id"),
        client_secret_file=_one(values, "--client-secret-file"),
        scopes=tuple(" ".join(values.get("--scope", ())).split()),
        ca_file=_one(values, "--issuer-ca"),
    )


def _session_client(values: Values) -> IssuerClient:
    if others := [name for name in _OF_ISSUERS if _one(values, name)]:
        raise Misused(f"--sign-in-url and {', '.join(others)} exclude each other")
    return IssuerClient(
        issuer=_https_url(values, "--sign-in-url").rstrip("/"),
        client_id=SESSION_CLIENT_ID,
        ca_file=_one(values, "--issuer-ca"),
        keeps_session=True,
    )


def _https_url(values: Values, name: str) -> str:
    # OpenID Connect Discovery 1.0 section 3: https, and neither query nor fragment.
    url = _required(values, name)
    try:
        host_and_port(url)
    except ValueError:
        message = f"{name} must be an https:// URL of a host, without ? and #, not {url!r}"
        raise Misused(message) from None
    return url


def _prompting(values: Values) -> Prompting:
    flow = _one(values, "--flow") or FLOW_AUTO
    if flow not in FLOWS:
        raise Misused(f"--flow must be one of {', '.join(FLOWS)}, not {flow!r}")
    keeps_session = "--sign-in-url" in values
    if flow == FLOW_PASTE and not keeps_session:
        raise Misused("--flow=paste goes with --sign-in-url: an issuer shows no code to paste")
    timeout = _one(values, "--timeout") or str(DEFAULT_TIMEOUT_SECONDS)
    return Prompting(
        flow=flow,
        listen_ports=tuple(
            _integer("--listen-port", port, MAX_PORT) for port in values.get("--listen-port", ())
        ),
        browser_command=_one(values, "--browser-command"),
        opens_browser="--no-browser" not in values,
        timeout_seconds=_integer("--timeout", timeout, MAX_TIMEOUT_SECONDS),
        prompt=values.get("--prompt", ["" if keeps_session else DEFAULT_PROMPT])[0],
    )


def _integer(name: str, text: str, maximum: int) -> int:
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(maximum))
    if not is_number or not 1 <= int(text) <= maximum:
        raise Misused(f"{name} must be a number from 1 to {maximum}, not {text!r}")
    return int(text)

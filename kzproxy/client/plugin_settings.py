"""The settings of one sign-in: what ``kzproxy credential`` is told by the kubeconfig.

Here and in everything else that a warm run of the plugin imports there is no dataclass, no
``typing`` and no ``pathlib``: kubectl starts the plugin for every command, and importing those
three takes as long as all the rest of it (12, 5 and 4 ms, where Python itself takes 10).
The values are not changed after they are made.
"""

FLOW_AUTO = "auto"
FLOW_BROWSER = "browser"
FLOW_DEVICE_CODE = "device-code"
FLOW_PASTE = "paste"
FLOWS = (FLOW_AUTO, FLOW_BROWSER, FLOW_DEVICE_CODE, FLOW_PASTE)

# What kzproxy's own sign-in knows its client by: it has no other.
SESSION_CLIENT_ID = "kzproxy-cli"

DEFAULT_TIMEOUT_SECONDS = 180
DEFAULT_PROMPT = "consent"


class IssuerClient:
    """Where to sign in, and as which OAuth client.

    Attributes:
        issuer: The issuer's URL, exactly as its discovery document has it.
        client_id: Of a public client, unless ``client_secret_file`` is set.
        client_secret_file: Empty for a public client.
        scopes: Empty means those of kzproxy's usual ones that the issuer supports.
        ca_file: PEM; the only authorities trusted for the issuer. Empty means the system's.
        keeps_session: The issuer is kzproxy's own sign-in: it keeps the session, and gives a
            session token and a certificate for the client's key in place of an ID token.
    """

    __slots__ = ("ca_file", "client_id", "client_secret_file", "issuer", "keeps_session", "scopes")

    def __init__(
        self,
        *,
        issuer: str,
        client_id: str,
        client_secret_file: str = "",
        scopes: tuple[str, ...] = (),
        ca_file: str = "",
        keeps_session: bool = False,
    ) -> None:
        self.issuer = issuer
        self.client_id = client_id
        self.client_secret_file = client_secret_file
        self.scopes = scopes
        self.ca_file = ca_file
        self.keeps_session = keeps_session


class Prompting:
    """How the user is asked to sign in.

    Attributes:
        flow: One of ``FLOWS``.
        listen_ports: Ports of 127.0.0.1 for the browser's way back, in the order they are tried;
            empty means any free one.
        browser_command: A command line that the URL is appended to; empty means the system's.
        opens_browser: False: the URL is only printed.
        timeout_seconds: How long the user may take.
        prompt: The ``prompt`` parameter of the authorization request where a refresh token is
            asked for; empty: none is sent.
    """

    __slots__ = (
        "browser_command",
        "flow",
        "listen_ports",
        "opens_browser",
        "prompt",
        "timeout_seconds",
    )

    def __init__(
        self,
        *,
        flow: str = FLOW_AUTO,
        listen_ports: tuple[int, ...] = (),
        browser_command: str = "",
        opens_browser: bool = True,
        timeout_seconds: int = DEFAULT_TIMEOUT_SECONDS,
        prompt: str = DEFAULT_PROMPT,
    ) -> None:
        self.flow = flow
        self.listen_ports = listen_ports
        self.browser_command = browser_command
        self.opens_browser = opens_browser
        self.timeout_seconds = timeout_seconds
        self.prompt = prompt


class PluginSettings:
    """Everything the plugin is told.

    Attributes:
        client: Where to sign in.
        prompting: How to ask.
        server: The kzproxy URL that the credential is for, without a trailing ``/``; empty means
            the one that kubectl names.
        device_certificate: A PEM file, or empty.
        device_key: A PEM file, or empty; both or neither.
    """

    __slots__ = ("client", "device_certificate", "device_key", "prompting", "server")

    def __init__(
        self,
        *,
        client: IssuerClient,
        prompting: Prompting,
        server: str = "",
        device_certificate: str = "",
        device_key: str = "",
    ) -> None:
        self.client = client
        self.prompting = prompting
        self.server = server
        self.device_certificate = device_certificate
        self.device_key = device_key

    def for_server(self, server: str) -> "PluginSettings":
        """Return the same settings with another ``server``."""
        return PluginSettings(
            client=self.client,
            prompting=self.prompting,
            server=server,
            device_certificate=self.device_certificate,
            device_key=self.device_key,
        )

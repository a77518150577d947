"""How the person at this machine is asked to sign in, and whether there is one."""

import getpass
import sys
from collections.abc import Mapping

from kzproxy.client.browser import has_browser, open_browser
from kzproxy.client.device_code import DeviceAuthorization
from kzproxy.client.failure import ClientFailure
from kzproxy.client.notices import Notices
from kzproxy.client.plugin_settings import (
    FLOW_AUTO,
    FLOW_BROWSER,
    FLOW_DEVICE_CODE,
    FLOW_PASTE,
    Prompting,
)
from kzproxy.client.provider import Provider

MAX_CODE = 4096


class NobodyToAsk(ClientFailure):
    """The user has to sign in, and neither a browser nor a terminal is there."""


class Asking:
    """Shows the way to the issuer.

    Args:
        prompting: What the user wants.
        notices: Where to say it.
        environ: The environment: displays, remote shells.
        interactive: What kubectl says: whether its stdin is a person's. A browser needs no stdin,
            so this matters only where there is none.
    """

    def __init__(
        self,
        prompting: Prompting,
        notices: Notices,
        environ: Mapping[str, str],
        *,
        interactive: bool,
    ) -> None:
        self._prompting = prompting
        self._notices = notices
        self._local_browser = bool(prompting.browser_command) or has_browser(environ, sys.platform)
        self._person = interactive or notices.seen_by_a_person()

    def say_waiting(self) -> None:
        """Say why nothing happens, if anybody reads it: other programs draw over stderr."""
        if self._person:
            self._notices.say("another kubectl is signing in; waiting for it")

    def flow(self, provider: Provider) -> str:
        """Return the flow to use at ``provider``; never FLOW_AUTO.

        Raises:
            ClientFailure: Nobody is there to ask, or the issuer has no such flow.
        """
        wanted = self._prompting.flow
        if wanted == FLOW_PASTE and not self._person:
            raise NobodyToAsk("there is no terminal to paste a code at; run `kzproxy login`")
        has_device_flow = bool(provider.device_authorization_endpoint)
        if wanted == FLOW_DEVICE_CODE and not has_device_flow:
            raise ClientFailure(f"{provider.issuer} has no device-code flow; use --flow=browser")
        if wanted != FLOW_AUTO:
            return wanted
        if self._local_browser:
            return FLOW_BROWSER
        if not self._person:
            raise NobodyToAsk(
                "you are not signed in, and there is neither a browser nor a terminal to ask at;"
                " run `kzproxy login` first"
            )
        return FLOW_DEVICE_CODE if has_device_flow else FLOW_BROWSER

    def send_to(self, url: str) -> None:
        """Open ``url`` in the browser, and print it in case that does not work."""
        opens = self._prompting.opens_browser and (
            self._local_browser or self._prompting.flow == FLOW_BROWSER
        )
        if opens:
            self._notices.say("signing in: your browser should open; if it does not, open this:")
        else:
            self._notices.say("signing in: open this in a browser on this machine:")
        self._notices.say(f"  {url}")
        self._say_patience()
        if opens:
            open_browser(url, self._prompting.browser_command)

    def read_code(self, url: str) -> str:
        """Print ``url``, and return the code that its page shows, as the user pastes it here.

        It is not echoed, so that it stands in no scroll-back; it is no argument either, which would
        be kept in the shell's history.
        """
        self._notices.say("signing in: open this in a browser, on any device:")
        self._notices.say(f"  {url}")
        self._notices.say("and paste the code that you are shown in the end (it is not echoed)")
        if not sys.stdin.isatty():
            return sys.stdin.readline(MAX_CODE).strip()
        try:
            return getpass.getpass("kzproxy: code: ")[:MAX_CODE].strip()
        except EOFError:  # Ctrl-D
            return ""

    def say_ended(self, message: str) -> None:
        """Say why the user is asked to sign in again."""
        self._notices.say(message)

    def show(self, authorization: DeviceAuthorization) -> None:
        """Print where to enter the code."""
        self._notices.say("signing in: open this in a browser, on any device:")
        self._notices.say(f"  {authorization.verification_uri}")
        self._notices.say(f"and enter the code  {authorization.user_code}")
        if authorization.complete_uri:
            self._notices.say("or open this, and compare the code:")
            self._notices.say(f"  {authorization.complete_uri}")
        self._say_patience()

    def _say_patience(self) -> None:
        if self._notices.seen_by_a_person():
            seconds = self._prompting.timeout_seconds
            self._notices.say(f"waiting for that, for {seconds} s; Ctrl-C ends it")

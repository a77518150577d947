"""How the person at this machine is asked."""

import io

import pytest

from kzproxy.client.asking import Asking
from kzproxy.client.device_code import DeviceAuthorization
from kzproxy.client.failure import ClientFailure
from kzproxy.client.notices import Notices, visible
from kzproxy.client.plugin_settings import Prompting
from kzproxy.client.provider import Provider

DESKTOP, SERVER = {"DISPLAY": ":0"}, {"SSH_TTY": "/dev/pts/0"}


class Terminal(io.StringIO):
    """A stream that a person sees."""

    def isatty(self) -> bool:
        return True


def provider(*, device_flow: bool = True) -> Provider:
    return Provider(
        issuer="https://issuer.test",
        authorization_endpoint="https://issuer.test/a",
        token_endpoint="https://issuer.test/t",
        device_authorization_endpoint="https://issuer.test/d" if device_flow else "",
    )


def asking(
    prompting: Prompting,
    environ: dict[str, str],
    stream: io.StringIO | None = None,
    *,
    interactive: bool = False,
) -> Asking:
    return Asking(prompting, Notices(stream or io.StringIO()), environ, interactive=interactive)


@pytest.mark.parametrize(
    ("wanted", "environ", "interactive", "device_flow", "used"),
    [
        ("auto", DESKTOP, False, True, "browser"),
        ("auto", SERVER, True, True, "device-code"),
        ("auto", SERVER, True, False, "browser"),
        ("browser", SERVER, False, True, "browser"),
        ("device-code", DESKTOP, False, True, "device-code"),
    ],
)
def test_the_flow_is_the_wanted_or_the_fitting_one(
    wanted: str, environ: dict[str, str], *, interactive: bool, device_flow: bool, used: str
) -> None:
    found = asking(Prompting(flow=wanted), environ, interactive=interactive)
    assert found.flow(provider(device_flow=device_flow)) == used


def test_a_terminal_is_as_good_as_kubectls_word() -> None:
    assert asking(Prompting(), SERVER, Terminal()).flow(provider()) == "device-code"


def test_where_nobody_is_nobody_is_asked() -> None:
    with pytest.raises(ClientFailure, match="neither a browser nor a terminal"):
        asking(Prompting(), SERVER).flow(provider())


def test_a_browser_command_is_a_browser() -> None:
    prompting = Prompting(browser_command="anything")
    assert asking(prompting, SERVER).flow(provider()) == "browser"


def test_an_issuer_without_device_flow_is_named() -> None:
    with pytest.raises(ClientFailure, match=r"https://issuer\.test has no device-code flow"):
        asking(Prompting(flow="device-code"), SERVER).flow(provider(device_flow=False))


def test_without_browser_the_url_is_printed_for_one() -> None:
    stream = io.StringIO()
    asking(Prompting(opens_browser=False), DESKTOP, stream).send_to("https://issuer.test/a")
    said = stream.getvalue()
    assert "open this in a browser on this machine:\nkzproxy:   https://issuer.test/a\n" in said


def test_what_an_issuer_says_cannot_command_the_terminal() -> None:
    stream = io.StringIO()
    authorization = DeviceAuthorization(
        verification_uri="https://issuer.test/\x1b]0;title\x07",
        complete_uri="",
        user_code="A\u202eB\n",
        device_code="secret",
        lifetime_seconds=600,
        interval_seconds=5,
    )
    asking(Prompting(), SERVER, stream).show(authorization)
    assert stream.getvalue().splitlines() == [
        "kzproxy: signing in: open this in a browser, on any device:",
        "kzproxy:   https://issuer.test/?]0;title?",
        "kzproxy: and enter the code  A?B?",
    ]


def test_letters_of_any_script_are_visible() -> None:
    assert visible("Grüße, 世界") == "Grüße, 世界"

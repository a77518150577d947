"""The plugin's command line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kzproxy.client.failure import ClientFailure
from kzproxy.client.plugin_arguments import (
    OPTIONS,
    Misused,
    parse_arguments,
    plugin_help,
    to_arguments,
    with_overrides,
)
from kzproxy.client.plugin_settings import (
    FLOW_PASTE,
    FLOWS,
    SESSION_CLIENT_ID,
    IssuerClient,
    PluginSettings,
    Prompting,
)

REQUIRED = ["--issuer=https://issuer.test", "--client-id=kzproxy"]

texts = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=20)
optional_texts = st.just("") | texts
urls = st.from_regex(
    r"https://([a-z0-9-]{1,20}(\.[a-z0-9]{1,9})?|\[::[0-9a-f]\])(:[1-9][0-9]{0,3})?(/[a-z0-9/]{0,10})?",
    fullmatch=True,
)


def prompting(flows: list[str]) -> st.SearchStrategy[Prompting]:
    return st.builds(
        Prompting,
        flow=st.sampled_from(flows),
        listen_ports=st.lists(st.integers(1, 65535), max_size=3).map(tuple),
        browser_command=optional_texts,
        opens_browser=st.booleans(),
        timeout_seconds=st.integers(1, 3600),
        prompt=optional_texts,
    )


servers = optional_texts.map(lambda server: server.rstrip("/"))
issuer_settings = st.builds(
    PluginSettings,
    client=st.builds(
        IssuerClient,
        issuer=urls,
        client_id=texts,
        client_secret_file=optional_texts,
        scopes=st.lists(texts, max_size=3).map(tuple),
        ca_file=optional_texts,
    ),
    prompting=prompting([flow for flow in FLOWS if flow != FLOW_PASTE]),
    server=servers,
)
session_settings = st.builds(
    PluginSettings,
    client=st.builds(
        IssuerClient,
        issuer=urls.map(lambda url: url.rstrip("/")),
        client_id=st.just(SESSION_CLIENT_ID),
        ca_file=optional_texts,
        keeps_session=st.just(value=True),
    ),
    prompting=prompting(list(FLOWS)),
    server=servers,
)


def fields(value: object) -> object:
    """Return a settings value as nested dicts, to compare by content."""
    if not hasattr(value, "__slots__"):
        return value
    return {name: fields(getattr(value, name)) for name in value.__slots__}


@given(issuer_settings | session_settings)
def test_what_is_written_is_read_back(written: PluginSettings) -> None:
    assert fields(parse_arguments(to_arguments(written))) == fields(written)


@given(st.lists(st.sampled_from([*OPTIONS, *REQUIRED, "--flow=x", "-h", "", "=", "https://x"])))
def test_any_command_line_is_read_or_refused_as_misused(arguments: list[str]) -> None:
    try:
        read = parse_arguments(arguments)
    except Misused:
        return
    assert read.client.issuer.startswith("https://")
    assert read.client.client_id


def test_a_value_may_follow_its_option() -> None:
    read = parse_arguments(["--issuer", "https://issuer.test", "--client-id", "kzproxy"])
    assert read.client.issuer == "https://issuer.test"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "--issuer URL is required"),
        (["--issuer=https://issuer.test"], "--client-id ID is required"),
        (["--issuer"], "--issuer needs a value: URL"),
        (["--issuer=http://issuer.test"], "must be an https:// URL"),
        (["--issuer=https://"], "must be an https:// URL"),
        (["--issuer=https://issuer.test:abc"], "must be an https:// URL"),
        (["--issuer=https://[::1"], "must be an https:// URL"),
        (["--sign-in-url=https://kz.test:65536"], "--sign-in-url must be an https:// URL"),
        (["--issuer=https://issuer.test/?a=b"], "must be an https:// URL"),
        (["--issuer=https://issuer.test/#a"], "must be an https:// URL"),
        (["--issuer=https://issuer.test/\x1b]0;"], "must be an https:// URL"),
        ([*REQUIRED, *REQUIRED], "--issuer is given twice"),
        ([*REQUIRED, "--no-browser=yes"], "--no-browser takes no value"),
        ([*REQUIRED, "--flow=magic"], "--flow must be one of auto, browser, device-code"),
        ([*REQUIRED, "--listen-port=0"], "--listen-port must be a number from 1 to 65535"),
        ([*REQUIRED, "--listen-port=65536"], "from 1 to 65535, not '65536'"),
        ([*REQUIRED, "--timeout=٣"], "--timeout must be a number from 1 to 3600"),
        ([*REQUIRED, "--timeout=" + "9" * 5000], "--timeout must be a number from 1 to 3600"),
        ([*REQUIRED, "--device-cert=a"], "--device-cert and --device-key go together"),
        ([*REQUIRED, "--device-key=a"], "--device-cert and --device-key go together"),
        ([*REQUIRED, "extra"], "unknown argument 'extra'; allowed are --sign-in-url, --issuer"),
    ],
)
def test_a_mistake_says_what_is_allowed(arguments: list[str], said: str) -> None:
    with pytest.raises(Misused) as refused:
        parse_arguments(arguments)
    assert said in str(refused.value)
    assert isinstance(refused.value, ClientFailure)


def test_overrides_replace_and_add() -> None:
    base = [*REQUIRED, "--scope=a", "--scope=b", "--no-browser"]
    merged = with_overrides(base, ["--client-id=other", "--scope=c", "--flow=device-code"])
    assert sorted(merged) == sorted(
        [
            "--issuer=https://issuer.test",
            "--client-id=other",
            "--scope=c",
            "--no-browser",
            "--flow=device-code",
        ]
    )


def test_help_names_every_option() -> None:
    for name in OPTIONS:
        assert name in plugin_help()

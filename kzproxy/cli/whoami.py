"""``kzproxy whoami``."""

import json
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import click

from kzproxy.cli.chosen_sign_in import chosen_settings, context_options
from kzproxy.cli.own_endpoint import ask_own_endpoint
from kzproxy.cli.plugin_options import plugin_arguments, plugin_options
from kzproxy.client.device_pair import DevicePair, certificate_pair, read_device_pair
from kzproxy.client.failure import ClientFailure
from kzproxy.client.held_session import HeldSession
from kzproxy.client.notices import visible
from kzproxy.client.plugin_settings import PluginSettings
from kzproxy.client.proxy_server import Document
from kzproxy.client.signed_in_user import SignedInUser, signed_in_user
from kzproxy.client.step_up import with_command
from kzproxy.client.token_cache import CacheEntry, TokenCache, cache_directory, cache_key
from kzproxy.clock.system import SystemClock

# What an enrolled device's certificate names; that of any other client names its key.
DEVICE_URN = "urn:kzproxy:device:"
WHEN = "%Y-%m-%d %H:%M:%S %Z"


@click.command(name="whoami")
@click.option(
    "-o", "--output", type=click.Choice(["text", "json"]), default="text", show_default=True
)
@click.option("--ask", is_flag=True, help="Ask kzproxy what it has of your session.")
@context_options
@plugin_options
def command(
    output: str, context: str, kubeconfig: Path | None, *, ask: bool, **given: object
) -> None:
    """Show who your token here says you are, without asking anybody.

    Exits 0 if kubectl can go on without asking you to sign in, else 1. What the cluster makes of
    your token is shown by `kubectl auth whoami`, and what kzproxy has of your session by --ask.
    """
    if ask:
        answer = ask_own_endpoint("GET", "session", context, kubeconfig)
        click.echo(json.dumps(answer, indent=2) if output == "json" else "\n".join(_told(answer)))
        return
    settings = chosen_settings(os.environ, context, kubeconfig, plugin_arguments(given))
    cache = TokenCache(cache_directory(os.environ))
    entry = cache.read(cache_key(settings.client, settings.server))
    if entry is None:
        raise ClientFailure("you are not signed in; run `kzproxy login`")
    if entry.session is not None and entry.session.end_message:
        raise ClientFailure(with_command(entry.session.end_message))
    user, now = signed_in_user(entry, settings), SystemClock().now()
    device = _device(settings, entry)
    if output == "json":
        click.echo(json.dumps(_as_json(user, settings, device, entry.session), indent=2))
    else:
        click.echo("\n".join(_as_text(user, settings, device, entry.session)))
    if not user.holds(now):
        raise SystemExit(1)


def _device(settings: PluginSettings, entry: CacheEntry) -> DevicePair | None:
    if entry.session is not None:
        return certificate_pair(entry.session.certificate)
    if not settings.device_certificate:
        return None
    return read_device_pair(settings.device_certificate, settings.device_key)


def _as_json(
    user: SignedInUser,
    settings: PluginSettings,
    device: DevicePair | None,
    session: HeldSession | None,
) -> dict[str, object]:
    now = SystemClock().now()
    document: dict[str, object] = {
        "signedIn": user.holds(now),
        "name": user.name,
        "claims": user.claims,
        "issuer": settings.client.issuer,
        "clientID": settings.client.client_id,
        "server": settings.server,
        "tokenExpiresAt": user.expires_at.isoformat(),
        "refreshable": user.refreshable(now),
        "device": None
        if device is None
        else {
            "names": list(device.names),
            "certificateFile": settings.device_certificate,
            "expiresAt": device.ends_at.isoformat(),
        },
    }
    if session is not None:
        document["session"] = {
            "id": session.id,
            "endsAt": datetime.fromtimestamp(session.ends_at, UTC).isoformat(),
            "postureError": session.posture_error,
        }
    return document


def _as_text(
    user: SignedInUser,
    settings: PluginSettings,
    device: DevicePair | None,
    session: HeldSession | None,
) -> list[str]:
    now = SystemClock().now()
    lines = [visible(user.name)]
    for claim in ("sub", "email", "groups"):
        value = user.claims.get(claim)
        values = value if isinstance(value, list) else [value] if value is not None else []
        if values:
            lines.append(_line(claim, ", ".join(str(item) for item in values)))
    lines.append(_line("issuer" if session is None else "sign-in", settings.client.issuer))
    lines.append(_line("server", settings.server or "any"))
    lines += _session_lines(session) if session is not None else []
    lines.append(_line("token", _token_state(user, now)))
    if device is not None:
        state = "ended" if device.ends_at <= now else "ends"
        is_device = session is None or any(DEVICE_URN in name for name in device.names)
        lines.append(_line("device" if is_device else "client", ", ".join(device.names)))
        lines.append(_line("certificate", f"{state} {device.ends_at.astimezone():{WHEN}}"))
    return lines


def _session_lines(session: HeldSession) -> list[str]:
    ends_at = datetime.fromtimestamp(session.ends_at, UTC)
    lines = [
        _line("session", session.id),
        _line("", f"ends {ends_at.astimezone():{WHEN}} at the latest"),
    ]
    if session.posture_error:
        lines.append(_line("posture", f"kzproxy took no report: {session.posture_error}"))
    return lines


def _token_state(user: SignedInUser, now: datetime) -> str:
    verb = "ended" if user.expires_at <= now else "ends"
    then = "renewed by itself" if user.refreshable(now) else "then you sign in again"
    return f"{verb} {user.expires_at.astimezone():{WHEN}}, {then}"


def _told(answer: Document) -> Iterator[str]:
    for name, value in answer.items():
        text = ", ".join(str(one) for one in value) if isinstance(value, list) else str(value)
        yield visible(f"{name:<22} {_moment(text)}")


def _moment(text: str) -> str:
    try:
        return f"{datetime.fromisoformat(text).astimezone():{WHEN}}" if "T" in text else text
    except ValueError:
        return text


def _line(label: str, value: str) -> str:
    return f"  {label:<12} {visible(value)}"

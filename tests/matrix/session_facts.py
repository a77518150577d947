"""Facts about sessions that kzproxy keeps, as administrators and identity providers turn them."""

import asyncio
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urljoin

import httpx

from tests.matrix.facts import Fact, Turned, waited
from tests.matrix.sign_in import SignInPlace
from tests.matrix.stage import Stage, everything
from tests.matrix.streams import Account
from tests.servers.issuer import TestIssuer

REVERIFY_SECONDS = 5
SETTINGS = {"reverifySeconds": REVERIFY_SECONDS, "graceSeconds": 30}
SHORT_SETTINGS = {"tokenSeconds": 30, "idleSeconds": 35, "absoluteSeconds": 45}
"""Of another kzproxy, in which sessions end by themselves before long."""

AUTHORIZATION = "Bearer what the transmitter was given"
STREAM = "transmitter"
_CAEP = "https://schemas.openid.net/secevent/caep/event-type/"
_POLLED_SECONDS = REVERIFY_SECONDS + 1.0
_SESSIONS = "/kzproxy.dev/v1/sessions"


def signals_settings(directory: Path, issuer: TestIssuer, place: SignInPlace) -> dict[str, object]:
    """Let the test issuer send security events, and the provider say who signed out."""
    (directory / "transmitter.authorization").write_text(AUTHORIZATION)
    stream = {
        "name": STREAM,
        "issuer": issuer.url,
        "audience": place.url,
        "authorizationFile": "transmitter.authorization",
        "jwksURL": f"{issuer.url}/keys",
        "certificateAuthorityFile": "ca.crt",
        "algorithms": ["ES256"],
        "usersOf": [place.idp.issuer],
    }
    return {"streams": [stream], "backChannelLogout": True}


def _signed_in(name: str) -> Callable[[Stage], Account]:
    return lambda stage: stage.signed_in(name)


def _revoked(stage: Stage, account: Account) -> Turned:
    since = time.monotonic()
    answer = stage.asked("DELETE", f"{_SESSIONS}/{account.session_id}?message=laptop%20lost")
    # From the answer on: until then whoever revoked it knows nothing.
    at = time.monotonic()
    assert answer.json == {"ended": [account.session_id]}, answer
    return Turned(at=at, since=since)


def _disabled(stage: Stage, account: Account) -> Turned:
    since = time.monotonic()
    stage.place.change_user("refresh-refused", None)
    return Turned(at=time.monotonic(), since=since)


def _without_group(stage: Stage, account: Account) -> Turned:
    since = time.monotonic()
    stage.place.change_user("group-removed", {"groups": ["others"]})
    return Turned(at=time.monotonic(), since=since)


def _event(stage: Stage, account: Account) -> Turned:
    """Have a transmitter push a security event (RFC 8935)."""
    now, since = int(time.time()), time.monotonic()
    event = {"event_timestamp": now, "reason_user": {"en": "Your account is being looked at"}}
    token = stage.world.issuer.token(
        {
            "aud": stage.place.url,
            "jti": f"matrix-{now}",
            "iat": now,
            "sub_id": {"format": "iss_sub", "iss": stage.place.idp.issuer, "sub": "caep-event"},
            "events": {f"{_CAEP}session-revoked": event},
        },
        typ="secevent+jwt",
    )
    headers = {"Content-Type": "application/secevent+jwt", "Authorization": AUTHORIZATION}
    with httpx.Client(verify=stage.place.trust(), trust_env=False, timeout=30) as client:
        url = f"{stage.place.url}/ssf/v1/events/{STREAM}"
        answer = client.post(url, content=token, headers=headers)
    at = time.monotonic()
    assert answer.status_code == 202, answer.text
    return Turned(at=at, since=since)


def _signed_out(stage: Stage, account: Account) -> Turned:
    """Sign out at the provider's own page, which tells kzproxy."""
    since = time.monotonic()
    at = asyncio.run(_sign_out(stage, account))
    return Turned(at=at, since=since)


async def _sign_out(stage: Stage, account: Account) -> float:
    signed = account.signed_in
    assert signed is not None
    async with httpx.AsyncClient(
        verify=stage.place.trust(), trust_env=False, cookies=signed.cookies, timeout=30
    ) as browser:
        page = await browser.get(f"{stage.place.idp.issuer}/session/end")
        action = re.search(r'action="([^"]+)"', page.text)
        xsrf = re.search(r'name="xsrf" value="([^"]+)"', page.text)
        assert action, page.text
        assert xsrf, page.text
        data = {"xsrf": xsrf[1], "logout": "yes"}
        await browser.post(urljoin(str(page.url), action[1]), data=data)
    return time.monotonic()


def _idle(stage: Stage, account: Account) -> Turned:
    shown = stage.asked("GET", f"{_SESSIONS}/{account.session_id}").json
    idle = timedelta(seconds=SHORT_SETTINGS["idleSeconds"])
    return waited(datetime.fromisoformat(shown["seenAt"]) + idle)


def _over(stage: Stage, account: Account) -> Turned:
    """Wait for the end; a request now and then keeps the session from being idle."""
    shown = stage.asked("GET", f"{_SESSIONS}/{account.session_id}").json
    ends = datetime.fromisoformat(shown["endsAt"])
    signed = account.signed_in
    assert signed is not None
    while datetime.now(UTC) < ends - timedelta(seconds=5):
        signed.renew()
        time.sleep(3)
    return waited(ends)


def _fact(name: str, turn: Callable[[Stage, Account], Turned], **fields: object) -> Fact:
    group = name.replace(" ", "-").lower()
    known: dict[str, object] = {
        "cause": "session-ended",
        "code": 401,
        "again": 401,
        "rules": (everything(group, group),),
    }
    return Fact(name=name, arrange=_signed_in(group), turn=turn, **known | fields)  # type: ignore[arg-type]


SESSION_FACTS = (
    _fact("session revoked", _revoked, says="laptop lost"),
    _fact("refresh refused", _disabled, says="session was ended", seconds=_POLLED_SECONDS),
    _fact(
        "group removed",
        _without_group,
        says="you are no longer in t:group-removed",
        seconds=_POLLED_SECONDS,
        cause="identity-changed",
        again=403,
    ),
    _fact("CAEP event", _event, says="Your account is being looked at"),
    _fact("back-channel logout", _signed_out, says="session was ended"),
)

SHORT_FACTS = (
    _fact("idle", _idle, says="was not used for"),
    _fact("absolute end", _over, says="sign in again", cause="credential-ended"),
)

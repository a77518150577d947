"""``/kzproxy.dev/v1/device`` and ``.../devices``: what devices there are, and what becomes of them.

The first shows callers their own. The second is about everybody's, for whom policy permits it; what
is done stands in the decision log twice, as policy's permit and as the event that it is.
"""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec

from kzproxy.administrator.device_administration import DeviceAdministration, Doing
from kzproxy.devices.device_record import DeviceState
from kzproxy.devices.names import DEVICE_ID
from kzproxy.enforcement.own_endpoints import Asked
from kzproxy.enforcement.shown_device import (
    Devices,
    MadeToken,
    OwnDevices,
    ShownDevice,
    ShownDevices,
    presented_device,
)
from kzproxy.errors.kinds import BadRequest, NotServed

_MAX_REASON_CHARS = 200
_MAX_USER_CHARS = 1024
_TOKENS = "tokens"
_DEFAULT_TOKEN_SECONDS = 24 * 3600
_MAX_TOKEN_SECONDS = 30 * 24 * 3600


class BlockBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a device is blocked, for its user."""

    reason: str = ""


class NoBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing."""


class TokenBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """Whom a token is for, and how long it is good."""

    for_user: str = ""
    seconds: int = _DEFAULT_TOKEN_SECONDS


class DeviceEndpoint:
    """Every caller's own devices."""

    judged = False
    methods = frozenset({"GET"})
    max_body_bytes = 0

    def __init__(self, devices: Devices) -> None:
        self._devices = devices

    def plan(self, asked: Asked) -> str:
        """Check the request; see ``OwnEndpoint``.

        Raises:
            NotServed: There is nothing below this path.
        """
        if asked.rest or asked.query:
            raise NotServed("there is nothing below /kzproxy.dev/v1/device, and it takes no query")
        return "asks for their own devices"

    async def answer(self, asked: Asked) -> OwnDevices:
        """Do it; see ``OwnEndpoint``."""
        one = asked.identity
        theirs = self._devices.registry.of_person(one.issuer, one.subject, one.username)
        return OwnDevices(
            presented=presented_device(asked.device),
            devices=tuple(
                self._devices.shown_whole(record, asked.received_at) for record in theirs
            ),
        )


_Body = TypeVar("_Body", bound=msgspec.Struct)
_Answer = ShownDevice | ShownDevices | MadeToken


class DevicesEndpoint:
    """Everybody's devices, for whom policy permits the path."""

    judged = True
    methods = frozenset({"GET", "POST", "DELETE"})
    max_body_bytes = 4 * 1024

    def __init__(self, devices: Devices, administration: DeviceAdministration) -> None:
        self._devices = devices
        self._administration = administration

    def plan(self, asked: Asked) -> str:
        """Check the request; see ``OwnEndpoint``.

        Raises:
            BadRequest: It cannot be read.
            NotServed: There is no such path.
        """
        return self._order(asked).plan

    async def answer(self, asked: Asked) -> _Answer:
        """Do it; see ``OwnEndpoint``.

        Raises:
            NotServed: There is no such device.
        """
        return await self._order(asked).run()

    def _order(self, asked: Asked) -> "_Order":
        device_id, slash, action = asked.rest.partition("/")
        if asked.method != "GET" and asked.query:
            raise BadRequest(f"{asked.method} of devices takes no query")
        if asked.method == "POST" and asked.rest == _TOKENS:
            return self._token(asked)
        if asked.rest and not DEVICE_ID.fullmatch(device_id):
            raise NotServed("a device's id is 1 to 128 letters, digits or . _ : -")
        match asked.method:
            case "GET" if not asked.rest:
                return self._list(asked)
            case "GET" if not slash and not asked.query:
                return _Order(
                    f"asks for device {device_id}", lambda: self._show(device_id, asked.received_at)
                )
            case "DELETE" if device_id and not slash:
                return self._forget(device_id, asked)
            case "POST" if action in ("approve", "block", "unblock"):
                return self._change(device_id, action, asked)
            case _:
                raise NotServed(f"kzproxy has no endpoint {asked.method} devices/{asked.rest}")

    def _list(self, asked: Asked) -> "_Order":
        query = dict(asked.query)
        if len(query) != len(asked.query) or not query.keys() <= {"user", "state"}:
            raise BadRequest("GET of devices takes each of user, state once")
        if query.get("state", DeviceState.PENDING) not in set(DeviceState):
            raise BadRequest("state is one of " + ", ".join(DeviceState))

        async def listed() -> ShownDevices:
            return ShownDevices(
                devices=tuple(
                    self._devices.shown(one)
                    for one in self._devices.registry.all()
                    if query.get("user", one.owner.username) == one.owner.username
                    and query.get("state", one.state) == one.state
                )
            )

        return _Order("asks for devices", listed)

    async def _show(self, device_id: str, now: datetime) -> ShownDevice:
        record = self._devices.registry.find(device_id)
        if record is None:
            raise NotServed(f"there is no device {device_id}")
        return self._devices.shown_whole(record, now)

    def _forget(self, device_id: str, asked: Asked) -> "_Order":
        async def forgotten() -> ShownDevice:
            return self._devices.shown(await self._administration.forget(device_id, _doing(asked)))

        return _Order(f"forgets device {device_id}", forgotten)

    def _change(self, device_id: str, action: str, asked: Asked) -> "_Order":
        reason = ""
        if action == "block":
            reason = _read(asked, BlockBody).reason
            _check(reason, _MAX_REASON_CHARS, "reason")
        else:
            _read(asked, NoBody)

        async def changed() -> ShownDevice:
            doing = _doing(asked)
            match action:
                case "approve":
                    record = await self._administration.approve(device_id, doing)
                case "block":
                    record = await self._administration.block(device_id, reason, doing)
                case _:
                    record = await self._administration.unblock(device_id, doing)
            return self._devices.shown(record)

        return _Order(f"has device {device_id} {action}ed", changed)

    def _token(self, asked: Asked) -> "_Order":
        body = _read(asked, TokenBody)
        _check(body.for_user, _MAX_USER_CHARS, "user")
        if not 1 <= body.seconds <= _MAX_TOKEN_SECONDS:
            raise BadRequest(f"a one-time token is good for 1 to {_MAX_TOKEN_SECONDS} seconds")

        async def made() -> MadeToken:
            lifetime = timedelta(seconds=body.seconds)
            token, kept = await self._administration.make_token(
                body.for_user, lifetime, _doing(asked)
            )
            return MadeToken(token=token, expires_at=kept.expires_at, for_user=kept.for_user)

        return _Order("makes a one-time token for enrolment", made)


class _Order(msgspec.Struct, frozen=True):
    """What a request asks for: in a line, and as what does it."""

    plan: str
    run: Callable[[], Awaitable[_Answer]]


def _doing(asked: Asked) -> Doing:
    return Doing(by=asked.identity.username, audit_id=asked.audit_id, at=asked.received_at)


def _read(asked: Asked, kind: type[_Body]) -> _Body:
    try:
        return msgspec.json.decode(asked.body or b"{}", type=kind)
    except (ValueError, RecursionError) as error:
        raise BadRequest("the body is not what this takes", detail=str(error)) from error


def _check(text: str, most: int, what: str) -> None:
    if len(text) > most or not text.isprintable():
        raise BadRequest(f"the {what} must be at most {most} characters that print")

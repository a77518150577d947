"""The ``signals`` section: who may tell kzproxy that something about users and devices changed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from kzproxy.administrator.signal import SignalSource
from kzproxy.authentication.security_event import DEFAULT_ALGORITHMS, TransmitterSettings
from kzproxy.authentication.settings import JwtIssuerSettings
from kzproxy.config.addresses import names_https_host
from kzproxy.config.document import Node
from kzproxy.config.files import authority_text, file_text

MAX_STREAMS = 32

_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_ALGORITHMS = ("ES256", "ES384", "PS256", "PS384", "RS256", "RS384", "RS512")
_MEMBERS = ("application", "device", "group", "org_unit", "session", "tenant", "user")
_MIN_AUTHORIZATION_CHARS = 16
_MAX_AUTHORIZATION_CHARS = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamSettings:
    """One stream of security events.

    Attributes:
        source: Who sends, and whom it may speak of.
        transmitter: How its events are verified.
        authorization: What it sends as ``Authorization``.
        critical_members: Of its complex subjects.
        state: That a verification event must have; empty for any.
    """

    source: SignalSource
    transmitter: TransmitterSettings
    authorization: str = field(repr=False)
    critical_members: frozenset[str] = frozenset()
    state: str = field(default="", repr=False)


class SignalSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is listened to.

    Attributes:
        streams: Of security events.
        back_channel_logout: Whether the issuers of the configuration may end sessions.
    """

    streams: tuple[StreamSettings, ...] = ()
    back_channel_logout: bool = False


def load_signals(node: Node, base: Path, issuers: Sequence[JwtIssuerSettings]) -> SignalSettings:
    """Read the section; ``issuers`` are those whose users kzproxy knows."""
    fields = node.mapping(optional=("streams", "backChannelLogout"))
    items = fields["streams"].sequence() if "streams" in fields else []
    if len(items) > MAX_STREAMS:
        fields["streams"].mistake(f"names more than {MAX_STREAMS} streams")
    known = tuple(one.url for one in issuers)
    streams = tuple(_stream(item, base, known) for item in items[:MAX_STREAMS])
    names = [stream.source.name for stream in streams]
    for item, name in zip(items, names, strict=False):
        if names.count(name) > 1:
            item.mistake(f"several streams are named {name}")
    logout = fields["backChannelLogout"].boolean() if "backChannelLogout" in fields else False
    return SignalSettings(streams=streams, back_channel_logout=logout)


def _stream(node: Node, base: Path, known: tuple[str, ...]) -> StreamSettings:
    fields = node.mapping(
        required=("name", "issuer", "audience", "authorizationFile"),
        optional=(
            "algorithms",
            "allowTenantWide",
            "certificateAuthorityFile",
            "criticalSubjectMembers",
            "jwksURL",
            "subjectInEvent",
            "usersOf",
            "verificationState",
        ),
    )
    issuer = _url(fields["issuer"])
    return StreamSettings(
        source=SignalSource(
            name=_name(fields["name"]),
            issuer=issuer,
            users_of=_users_of(fields, issuer, known),
            tenant_wide=_boolean(fields, "allowTenantWide"),
        ),
        transmitter=TransmitterSettings(
            issuer=issuer,
            audiences=(fields["audience"].string(),),
            key_set_url=_url(fields["jwksURL"]) if "jwksURL" in fields else "",
            certificate_authority_pem=_authority(fields, base),
            algorithms=_algorithms(fields),
            subject_in_event=_boolean(fields, "subjectInEvent"),
        ),
        authorization=_authorization(fields["authorizationFile"], base),
        critical_members=_critical(fields),
        state=fields["verificationState"].string() if "verificationState" in fields else "",
    )


def _name(node: Node) -> str:
    name = node.string()
    if name and not _NAME.fullmatch(name):
        node.mistake("must be lower-case letters, digits and hyphens: it is part of a URL")
    return name


def _url(node: Node) -> str:
    text = node.string()
    if text and not names_https_host(text):
        node.mistake("must be an https URL, exactly as the transmitter writes it")
    return text


def _users_of(fields: dict[str, Node], issuer: str, known: tuple[str, ...]) -> tuple[str, ...]:
    if "usersOf" not in fields:
        return (issuer,) if issuer in known else ()
    found = []
    for item in fields["usersOf"].filled_sequence():
        url = item.string()
        if url and url not in known:
            item.mistake(f"is no issuer of the authenticationFile; those are: {', '.join(known)}")
        found.append(url)
    return tuple(found)


def _algorithms(fields: dict[str, Node]) -> frozenset[str]:
    if "algorithms" not in fields:
        return DEFAULT_ALGORITHMS
    return frozenset(item.choice(_ALGORITHMS) for item in fields["algorithms"].filled_sequence())


def _critical(fields: dict[str, Node]) -> frozenset[str]:
    if "criticalSubjectMembers" not in fields:
        return frozenset()
    return frozenset(item.choice(_MEMBERS) for item in fields["criticalSubjectMembers"].sequence())


def _authority(fields: dict[str, Node], base: Path) -> str:
    if "certificateAuthorityFile" not in fields:
        return ""
    return authority_text(fields["certificateAuthorityFile"], base)


def _authorization(node: Node, base: Path) -> str:
    text = file_text(node, base).strip()
    length = len(text)
    if text and not (text.isascii() and text.isprintable()):
        node.mistake("must hold one line: what the transmitter sends as `Authorization`")
    elif text and not _MIN_AUTHORIZATION_CHARS <= length <= _MAX_AUTHORIZATION_CHARS:
        node.mistake(
            f"must hold from {_MIN_AUTHORIZATION_CHARS} to {_MAX_AUTHORIZATION_CHARS} characters,"
            ' such as "Bearer " and 32 random bytes in Base64'
        )
    return text


def _boolean(fields: dict[str, Node], name: str) -> bool:
    return fields[name].boolean() if name in fields else False

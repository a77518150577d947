"""The ``posture`` section: how posture is judged, and whose word is asked for beside a device's."""

import re
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit

from kzproxy.config.document import Node
from kzproxy.config.files import authority_text, living_file
from kzproxy.posture.pointer import parse_pointer
from kzproxy.posture.settings import MappedCheck, PostureSettings, ProviderSettings, Scalar
from kzproxy.posture.source import SourceKind

_DAY_SECONDS = 24 * 3600
_MAX_TTL_SECONDS = 7 * _DAY_SECONDS
_MAX_DAYS = 3650
_DEFAULT = "default"
_CHECK = re.compile(r"[a-z][a-z0-9_]{0,62}")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,62}")
_KINDS = {"mdm": SourceKind.MDM, "edr": SourceKind.EDR}
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
_PLACES = ("{id}", "{serial}")


def load_posture(node: Node | None, base: Path, *, has_store: bool) -> PostureSettings:
    """Read the section; None is a configuration without it."""
    if node is None:
        return PostureSettings()
    fields = node.mapping(optional=("patchDays", "providers", "screenLockSeconds", "ttlSeconds"))
    if not has_store:
        node.mistake("needs a store, which keeps what is known of devices: set store.file")
    ttl = _ttl(fields["ttlSeconds"]) if "ttlSeconds" in fields else {}
    default = PostureSettings()
    return PostureSettings(
        default_ttl=ttl.pop(_DEFAULT, default.default_ttl),
        ttl=tuple(sorted(ttl.items())),
        patch_days=fields["patchDays"].integer(0, _MAX_DAYS)
        if "patchDays" in fields
        else default.patch_days,
        screen_lock=timedelta(seconds=fields["screenLockSeconds"].integer(1, _DAY_SECONDS))
        if "screenLockSeconds" in fields
        else None,
        providers=_providers(fields["providers"], base) if "providers" in fields else (),
    )


def _ttl(node: Node) -> dict[str, timedelta]:
    found = {}
    for key, value in node.entries():
        name = _check_name(key)
        found[name] = timedelta(seconds=value.integer(1, _MAX_TTL_SECONDS))
    return found


def _check_name(node: Node) -> str:
    name = node.string()
    if name and not _CHECK.fullmatch(name):
        node.mistake(f'"{name}" is no check; write it as disk_encrypted')
    return name


def _providers(node: Node, base: Path) -> tuple[ProviderSettings, ...]:
    found: list[ProviderSettings] = []
    for item in node.sequence():
        provider = _provider(item, base)
        if provider.name in [one.name for one in found]:
            item.mistake(f"there is a provider {provider.name} already")
        found.append(provider)
    return tuple(found)


def _provider(node: Node, base: Path) -> ProviderSettings:
    fields = node.mapping(
        required=("name", "kind", "url", "mapping"),
        optional=("certificateAuthorityFile", "everySeconds", "headersFile"),
    )
    mapping = fields["mapping"].mapping(
        required=("checks",), optional=("observedAt", "os", "osVersion")
    )
    every = ProviderSettings(name="", kind=SourceKind.MDM, url="", checks=()).every
    return ProviderSettings(
        name=_name(fields["name"]),
        kind=_KINDS.get(fields["kind"].choice(tuple(_KINDS)), SourceKind.MDM),
        url=_url(fields["url"]),
        authority_pem=authority_text(fields["certificateAuthorityFile"], base)
        if "certificateAuthorityFile" in fields
        else "",
        headers_file=living_file(fields["headersFile"], base) if "headersFile" in fields else None,
        every=timedelta(seconds=fields["everySeconds"].integer(5, _DAY_SECONDS))
        if "everySeconds" in fields
        else every,
        checks=_checks(mapping["checks"]),
        observed_at=_pointer(mapping["observedAt"]) if "observedAt" in mapping else "",
        os=_pointer(mapping["os"]) if "os" in mapping else "",
        os_version=_pointer(mapping["osVersion"]) if "osVersion" in mapping else "",
    )


def _name(node: Node) -> str:
    name = node.string()
    if name and (not _NAME.fullmatch(name) or name == SourceKind.SELF.value):
        node.mistake(f'"{name}" must be small letters, digits and hyphens, and not "self"')
    return name


def _url(node: Node) -> str:
    text = node.string()
    if text and (mistake := _url_mistake(text)):
        node.mistake(mistake)
    return text


def _url_mistake(text: str) -> str:
    try:
        parts = urlsplit(text)
    except ValueError:
        return f"{text!r} is not a URL"
    is_local = parts.scheme == "http" and parts.hostname in _LOOPBACK
    if not parts.hostname or not (parts.scheme == "https" or is_local):
        return f"{text!r} must be an https URL, or http of this machine (127.0.0.1)"
    if not any(place in parts.path + parts.query for place in _PLACES):
        return f"{text!r} must have {' or '.join(_PLACES)} in it: which device is asked about"
    if parts.username is not None or parts.fragment:
        return "must have no user and no fragment; put credentials into headersFile"
    return ""


def _checks(node: Node) -> tuple[tuple[str, MappedCheck], ...]:
    found = {_check_name(key): _check(value) for key, value in node.entries()}
    if not found and node.is_mapping():
        node.mistake("must name at least one check")
    return tuple(sorted(found.items()))


def _check(node: Node) -> MappedCheck:
    fields = node.mapping(required=("pointer", "passed"), optional=("failed",))
    passed = _scalars(fields["passed"])
    failed = _scalars(fields["failed"]) if "failed" in fields else ()
    both = [one for one in failed if (type(one), one) in [(type(each), each) for each in passed]]
    if both:
        node.mistake(f"{both[0]!r} means both passed and failed")
    return MappedCheck(pointer=_pointer(fields["pointer"]), passed=passed, failed=failed)


def _scalars(node: Node) -> tuple[Scalar, ...]:
    found: list[Scalar] = []
    items = node.sequence()
    for item in items:
        value = item.raw()
        if value is None or isinstance(value, str | int | float | bool):
            found.append(value)
        else:
            item.mistake("must be a text, a number, true, false or null")
    if not items and node.is_sequence():
        node.mistake("the list must not be empty; leave the field out or name something")
    return tuple(found)


def _pointer(node: Node) -> str:
    text = node.string()
    try:
        parse_pointer(text)
    except ValueError as error:
        node.mistake(str(error))
        return ""
    return text

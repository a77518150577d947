"""What a provider says about itself (OpenID Connect Discovery 1.0, RFC 8414), fetched and kept."""

import asyncio
from collections.abc import Mapping

import msgspec

from kzproxy.authentication.foreign_places import ForeignPlace, refuse_foreign_place
from kzproxy.authentication.provider_errors import ProviderSilence
from kzproxy.authentication.provider_http import ProviderHttp
from kzproxy.authentication.provider_settings import (
    DEFAULT_PROVIDER_LIMITS,
    USUAL_SCOPES,
    ProviderLimits,
    ProviderSettings,
    Reverify,
)
from kzproxy.clock.system import Clock

_OK = 200
_REQUIRED = ("authorization_endpoint", "token_endpoint")
_OPTIONAL = (
    "userinfo_endpoint",
    "introspection_endpoint",
    "revocation_endpoint",
    "end_session_endpoint",
)
_NEEDED_FOR = {
    Reverify.USERINFO: "userinfo_endpoint",
    Reverify.INTROSPECTION: "introspection_endpoint",
}


class ProviderMetadata(msgspec.Struct, frozen=True, kw_only=True):
    """A discovery document, as far as a confidential client needs it.

    Attributes:
        authorization_endpoint: https, like all of them; the optional ones may be empty.
        token_endpoint: RFC 6749 section 3.2.
        userinfo_endpoint: OpenID Connect Core 1.0 section 5.3.
        introspection_endpoint: RFC 7662.
        revocation_endpoint: RFC 7009.
        end_session_endpoint: OpenID Connect RP-Initiated Logout 1.0.
        names_itself: Whether its authorization answers carry ``iss`` (RFC 9207 section 3).
        secret_in_form: Whether our secret goes into the form, not into the header.
        scopes: To ask for.
    """

    authorization_endpoint: str
    token_endpoint: str
    userinfo_endpoint: str = ""
    introspection_endpoint: str = ""
    revocation_endpoint: str = ""
    end_session_endpoint: str = ""
    names_itself: bool = False
    secret_in_form: bool = False
    scopes: tuple[str, ...] = ("openid",)


class Discovery:
    """Fetches the document when it is asked for, at most so often, one fetch at a time."""

    def __init__(
        self,
        settings: ProviderSettings,
        http: ProviderHttp,
        clock: Clock,
        limits: ProviderLimits = DEFAULT_PROVIDER_LIMITS,
    ) -> None:
        self._settings = settings
        self._http = http
        self._clock = clock
        self._limits = limits
        self._known: ProviderMetadata | None = None
        self._failure, self._failed_for_all = "", False
        self._fresh_until = self._kept_until = self._next_try_at = clock.monotonic()
        self._lock = asyncio.Lock()

    async def metadata(self) -> ProviderMetadata:
        """Return what the provider says about itself.

        Raises:
            ProviderSilence: It cannot be had, or signing in there would not be safe.
        """
        if self._known is None or self._clock.monotonic() >= self._fresh_until:
            async with self._lock:
                await self._renew()
        if self._known is None or self._clock.monotonic() >= self._kept_until:
            raise ProviderSilence(self._failure, for_all=self._failed_for_all)
        return self._known

    async def _renew(self) -> None:
        now = self._clock.monotonic()
        if now < self._next_try_at or (self._known is not None and now < self._fresh_until):
            return  # somebody else has just tried
        try:
            self._known = await self._fetched()
        except ProviderSilence as silence:
            self._failure, self._failed_for_all = str(silence), silence.for_all
            self._next_try_at = (
                self._clock.monotonic() + self._limits.discovery_cool_down.total_seconds()
            )
            return
        now = self._clock.monotonic()
        self._fresh_until = now + self._limits.discovery_lifetime.total_seconds()
        self._kept_until = now + self._limits.discovery_kept.total_seconds()

    async def _fetched(self) -> ProviderMetadata:
        source = self._settings.issuer.discovery_document_url
        answer = await self._http.get(source)
        if answer.status != _OK:
            raise ProviderSilence(f"{source}: the answer is {answer.status}, not 200")
        metadata = read_metadata(answer.document, self._settings, source)
        for member in (*_REQUIRED, *_OPTIONAL):
            place = getattr(metadata, member)
            # The browser goes to the first by itself, and kzproxy never.
            if place and member not in ("authorization_endpoint", "end_session_endpoint"):
                await _refuse_foreign(place, source, member)
        return metadata


def read_metadata(
    document: Mapping[str, object], settings: ProviderSettings, source: str
) -> ProviderMetadata:
    """Read a discovery document that was fetched from ``source``.

    Raises:
        ProviderSilence: It is another issuer's, lacks what is needed, or would have kzproxy do
            what is not safe.
    """
    # OpenID Connect Discovery 1.0 section 4.3: identical, or one issuer could pass for another.
    if document.get("issuer") != settings.issuer.url:
        raise ProviderSilence(f"{source}: its `issuer` is not {settings.issuer.url}")
    _refuse_without(document, "code_challenge_methods_supported", "S256", source)
    _refuse_without(document, "response_types_supported", "code", source)
    places = {name: _endpoint(document, name, source) for name in (*_REQUIRED, *_OPTIONAL)}
    needed = (*_REQUIRED, *filter(None, [_NEEDED_FOR.get(settings.reverify)]))
    missing = [name for name in needed if not places[name]]
    if missing:
        raise ProviderSilence(
            f"{source}: has no `{missing[0]}`, which signing in with"
            f" `reverify: {settings.reverify}` needs"
        )
    return ProviderMetadata(
        **places,
        names_itself=document.get("authorization_response_iss_parameter_supported") is True,
        secret_in_form=_secret_in_form(document, source),
        scopes=_scopes(document, settings),
    )


def _scopes(document: Mapping[str, object], settings: ProviderSettings) -> tuple[str, ...]:
    if settings.scopes:
        return settings.scopes
    known = _strings(document, "scopes_supported")
    # Some refuse a scope that they do not know, so where nothing is said the least is asked for.
    return ("openid", *(scope for scope in USUAL_SCOPES if scope in (known or ("offline_access",))))


def _secret_in_form(document: Mapping[str, object], source: str) -> bool:
    # Discovery section 3: where it says nothing, client_secret_basic.
    methods = _strings(document, "token_endpoint_auth_methods_supported")
    if methods is None or "client_secret_basic" in methods:
        return False
    if "client_secret_post" in methods:
        return True
    raise ProviderSilence(
        f"{source}: takes neither client_secret_basic nor client_secret_post; kzproxy shows who it"
        " is by a secret"
    )


def _refuse_without(document: Mapping[str, object], member: str, value: str, source: str) -> None:
    listed = _strings(document, member)
    if listed is not None and value not in listed:
        raise ProviderSilence(f"{source}: its `{member}` is without {value}, which kzproxy needs")


def _strings(document: Mapping[str, object], name: str) -> tuple[str, ...] | None:
    value = document.get(name)
    if not isinstance(value, list):
        return None
    return tuple(item for item in value if isinstance(item, str))


def _endpoint(document: Mapping[str, object], name: str, source: str) -> str:
    value = document.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or not _is_plain_https(value):
        raise ProviderSilence(f"{source}: its `{name}` is not a plain https URL")
    return value


def _is_plain_https(url: str) -> bool:
    return (
        url.startswith("https://")
        and url.isascii()
        and url.isprintable()
        and not any(mark in url for mark in " #\\@")
    )


async def _refuse_foreign(place: str, source: str, member: str) -> None:
    try:
        await refuse_foreign_place(place, source, member)
    except ForeignPlace as error:
        raise ProviderSilence(str(error)) from error

"""What a provider's token endpoint answers (RFC 6749 section 5), read."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from kzproxy.authentication.provider_errors import ProviderRefusal, ProviderSilence, told
from kzproxy.authentication.provider_http import Answer

_OK = 200
_MAX_TOKEN_CHARACTERS = 64 * 1024

# Of RFC 6749 section 5.2 only the first is about the person. The others are of OpenID Connect
# Core 1.0 section 3.1.2.6, and some providers send them from the token endpoint too.
_REFUSALS = frozenset(
    {
        "invalid_grant",
        "access_denied",
        "consent_required",
        "interaction_required",
        "login_required",
    }
)

# What else is said of a refresh token that is good no longer, where `invalid_grant` should be: the
# code that RFC 6750 section 3.1 has for a token (UAA), and one of Ory Hydra's own.
_OF_A_TOKEN = frozenset({"invalid_token", "token_inactive"})
# Dex and others blame the request; it is the token where they name it.
_BLAMES_THE_REQUEST = "invalid_request"
_NAMES_THE_TOKEN = re.compile(r"refresh[ _-]?token", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProviderTokens:
    """What a code or a refresh token was traded for.

    Attributes:
        access_token: For userinfo.
        id_token: Not judged yet; empty where none came.
        refresh_token: Empty where none came.
    """

    access_token: str = field(repr=False)
    id_token: str = field(repr=False)
    refresh_token: str = field(repr=False)


def read_refresh_token(url: str, answer: Answer) -> str:
    """Read the refresh token alone out of an answer; empty where none came.

    The one that was redeemed for it may be spent, so it must not be lost by what else is there.

    Raises:
        ProviderRefusal: The provider says no.
        ProviderSilence: It says nothing about the person.
    """
    refuse_dead_token(answer)
    refuse_error(url, answer)
    return _token(url, answer.document, "refresh_token")


def read_tokens(url: str, answer: Answer) -> ProviderTokens:
    """Read an answer of the token endpoint at ``url``.

    Raises:
        ProviderRefusal: The provider says no.
        ProviderSilence: It says nothing about the person.
    """
    refresh_token = read_refresh_token(url, answer)
    document = answer.document
    if str(document.get("token_type")).lower() != "bearer":
        raise ProviderSilence(f"{url}: gave a token of type {told(document.get('token_type'))!r}")
    return ProviderTokens(
        access_token=_token(url, document, "access_token"),
        id_token=_token(url, document, "id_token"),
        refresh_token=refresh_token,
    )


def refuse_error(url: str, answer: Answer) -> None:
    """Raise what an OAuth endpoint's error answer means; return where it is none.

    Raises:
        ProviderRefusal: The provider says no about the person.
        ProviderSilence: It says no to kzproxy, or says nothing that is known.
    """
    document = answer.document
    if answer.status == _OK and "error" not in document:
        return
    error = document.get("error")
    if isinstance(error, str) and error in _REFUSALS:
        raise ProviderRefusal(error, told(document.get("error_description")))
    words = ": ".join(filter(None, [told(error), told(document.get("error_description"))]))
    raise ProviderSilence(f"{url}: the answer is {answer.status} {words}".rstrip())


def refuse_dead_token(answer: Answer) -> None:
    """Raise where an answer says that the refresh token it is about holds no more.

    Raises:
        ProviderRefusal: So it does.
    """
    error, said = answer.document.get("error"), told(answer.document.get("error_description"))
    if not isinstance(error, str):
        return
    blames_it = error == _BLAMES_THE_REQUEST and _NAMES_THE_TOKEN.search(said) is not None
    if error in _OF_A_TOKEN or blames_it:
        raise ProviderRefusal(error, said)


def _token(url: str, document: Mapping[str, object], name: str) -> str:
    value = document.get(name)
    if value is None:
        return ""  # some write null for what they do not give
    if not isinstance(value, str) or len(value) > _MAX_TOKEN_CHARACTERS or not value.isascii():
        raise ProviderSilence(f"{url}: gave an `{name}` that is not one")
    return value

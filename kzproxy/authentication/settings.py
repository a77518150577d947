"""What an operator says about the issuers of tokens, as values.

The words are those of ``AuthenticationConfiguration`` (apiserver.config.k8s.io/v1);
``kzproxy.config.authentication`` makes these values from a file.
"""

import hashlib
from dataclasses import dataclass
from datetime import timedelta

MEBIBYTE = 1024 * 1024
_REVISION_HEX_DIGITS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class PrefixedClaim:
    """A claim, and what is written before its value to keep it apart from other names."""

    claim: str
    prefix: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtraClaim:
    """A claim whose value becomes the extra ``key``."""

    key: str
    claim: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RequiredClaim:
    """A claim that must be a string equal to ``value``."""

    claim: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JwtIssuerSettings:
    """One issuer: whose tokens hold, and what they say about the caller.

    Attributes:
        url: Compared with ``iss`` character by character.
        discovery_url: Where the discovery document is; empty for the place below ``url`` that
            OpenID Connect Discovery 1.0 section 4 gives it.
        audiences: A token must be for one of these; never empty.
        certificate_authority_pem: Who vouches for the issuer's TLS; empty for the system's trust.
        username: The claim that names the caller.
        groups: The claim that lists the caller's groups, if any does.
        uid_claim: Empty where no uid is taken.
        extra: Sorted by key.
        required_claims: All must hold.
    """

    url: str
    discovery_url: str = ""
    audiences: tuple[str, ...]
    certificate_authority_pem: str = ""
    username: PrefixedClaim
    groups: PrefixedClaim | None = None
    uid_claim: str = ""
    extra: tuple[ExtraClaim, ...] = ()
    required_claims: tuple[RequiredClaim, ...] = ()

    @property
    def revision(self) -> str:
        """Return a name for exactly these settings; any other settings have another."""
        return hashlib.sha256(repr(self).encode()).hexdigest()[:_REVISION_HEX_DIGITS]

    @property
    def discovery_document_url(self) -> str:
        """Return where the discovery document is fetched."""
        if self.discovery_url:
            return self.discovery_url
        return self.url.removesuffix("/") + "/.well-known/openid-configuration"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyLimits:
    """How often, how long and how much kzproxy listens to an issuer.

    Attributes:
        refresh_interval: Between two fetches; a key that the issuer withdraws holds at most this
            much longer.
        cool_down: Least time between two fetches whatever tokens come in, so that tokens with
            invented key ids cannot make kzproxy a hammer on the issuer.
        keep_last_good: How long keys hold that could not be fetched again. Long enough for an
            issuer's bad night, and no longer: who cuts kzproxy off from the issuer must not be
            able to keep a withdrawn key alive. Tokens live for less, and an issuer that is down
            makes no new ones.
        fetch_timeout: For discovery and keys together.
        document_bytes: For each of the two documents.
        keys: In one set; issuers publish fewer than ten.
    """

    refresh_interval: timedelta = timedelta(minutes=5)
    cool_down: timedelta = timedelta(seconds=10)
    keep_last_good: timedelta = timedelta(hours=12)
    fetch_timeout: timedelta = timedelta(seconds=5)
    document_bytes: int = MEBIBYTE
    keys: int = 100


DEFAULT_KEY_LIMITS = KeyLimits()

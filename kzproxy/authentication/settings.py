"""What an operator says about the issuers of tokens, as values.

The words are those of ``AuthenticationConfiguration`` (apiserver.config.k8s.io/v1);
``kzproxy.config.authentication`` makes these values from a file.
"""

import hashlib
from datetime import timedelta

import msgspec

MEBIBYTE = 1024 * 1024
_REVISION_HEX_DIGITS = 32


class PrefixedClaim(msgspec.Struct, frozen=True, kw_only=True):
    """A claim, and what is written before its value to keep it apart from other names."""

    claim: str
    prefix: str


class MappingExpression(msgspec.Struct, frozen=True, kw_only=True):
    """CEL over ``claims`` whose result becomes a name or names."""

    expression: str


class ExtraClaim(msgspec.Struct, frozen=True, kw_only=True):
    """CEL over ``claims`` whose result becomes the extra ``key``."""

    key: str
    expression: str


class RequiredClaim(msgspec.Struct, frozen=True, kw_only=True):
    """A claim that must be a string equal to ``value``."""

    claim: str
    value: str


class ValidationRule(msgspec.Struct, frozen=True, kw_only=True):
    """CEL that must be true, over ``claims`` or ``user``, and what a refusal says where it is not.

    Attributes:
        message: The operator's own words; may be empty.
    """

    expression: str
    message: str = ""


class ReservedNames(msgspec.Struct, frozen=True, kw_only=True):
    """The names of Kubernetes' own that an issuer may give all the same.

    Attributes:
        users: ``system:serviceaccount:NAMESPACE:NAME``, either part with ``*`` where it is a glob.
        groups: Names, or globs with ``*``, each beginning with ``system:``.
    """

    users: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()


NO_RESERVED_NAMES = ReservedNames()


class JwtIssuerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """One issuer: whose tokens hold, and what they say about the caller.

    Attributes:
        url: Compared with ``iss`` character by character.
        discovery_url: Where the discovery document is; empty for the place below ``url`` that
            OpenID Connect Discovery 1.0 section 4 gives it.
        audiences: A token must be for one of these; never empty.
        certificate_authority_pem: Who vouches for the issuer's TLS; empty for the system's trust.
        username: The claim, or the expression, that names the caller.
        groups: What lists the caller's groups, if anything does.
        uid_claim: Empty where no uid is taken, or an expression gives it.
        uid_expression: Empty where a claim gives it, or none is taken.
        extra: Sorted by key.
        required_claims: All must hold.
        claim_rules: All must hold of the claims.
        user_rules: All must hold of the user that the claims are mapped to.
        reserved: Set by kzproxy's own configuration alone.
    """

    url: str
    discovery_url: str = ""
    audiences: tuple[str, ...]
    certificate_authority_pem: str = ""
    username: PrefixedClaim | MappingExpression
    groups: PrefixedClaim | MappingExpression | None = None
    uid_claim: str = ""
    uid_expression: str = ""
    extra: tuple[ExtraClaim, ...] = ()
    required_claims: tuple[RequiredClaim, ...] = ()
    claim_rules: tuple[ValidationRule, ...] = ()
    user_rules: tuple[ValidationRule, ...] = ()
    reserved: ReservedNames = NO_RESERVED_NAMES

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

    @property
    def key_set_url(self) -> str:
        """Return nothing: the discovery document says where the keys are."""
        return ""


class KeyLimits(msgspec.Struct, frozen=True, kw_only=True):
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

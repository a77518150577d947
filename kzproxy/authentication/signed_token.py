"""A JSON Web Token read strictly, before anything in it is believed (RFC 7515, RFC 7519).

Reading is ours, signature checking is PyJWT's: a token has one reading here, and the header that
was checked is the header that selects the key. Where a key could come from the token itself
(``jku``, ``x5u``, ``jwk``, ``x5c``) it is not looked at.
"""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from kzproxy.authentication.jwks import ALGORITHMS
from kzproxy.errors.kinds import Unauthenticated

MAX_TOKEN_BYTES = 64 * 1024
"""Entra and Keycloak tokens with hundreds of groups stay under 32 KiB; the request head that
carries the token ends at 128 KiB."""

MAX_KEY_ID_BYTES = 256
"""Key ids in use are thumbprints, 43 to 64 bytes."""

# Absent, or these: an ID token, or an access token (RFC 9068 section 2.1). A logout token, a
# security event or a DPoP proof is signed by the same keys and says something else.
SIGN_IN_TYPES = frozenset({"jwt", "at+jwt"})

_COMPACT = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedToken:
    """A token that has one reading; not yet verified.

    Attributes:
        algorithm: One of ``ALGORITHMS``.
        key_id: An opaque name in the issuer's key set; None where the token names no key.
        claims: What the token says; to be believed only once the signature is checked.
        signing_input: What was signed.
        signature: By whom, if it holds.
    """

    algorithm: str
    key_id: str | None
    claims: Mapping[str, object] = field(repr=False)
    signing_input: bytes = field(repr=False)
    signature: bytes = field(repr=False)


def read_signed_token(token: str, types: frozenset[str] = SIGN_IN_TYPES) -> SignedToken:
    """Read the compact form.

    Args:
        token: As it was sent.
        types: What ``typ`` may be, in lower case and without ``application/``; a token without
            one is a ``jwt``.

    Raises:
        Unauthenticated: It is not a signed token that kzproxy could verify.
    """
    if len(token) > MAX_TOKEN_BYTES:
        raise Unauthenticated(f"the token is longer than {MAX_TOKEN_BYTES} bytes")
    if not _COMPACT.fullmatch(token):
        raise Unauthenticated("the token is not a signed JWT: three base64url parts")
    header_part, claims_part, signature_part = token.split(".")
    header = _json_object(header_part, "header")
    _refuse_extensions(header)
    _refuse_other_types(header, types)
    return SignedToken(
        algorithm=_algorithm(header),
        key_id=_key_id(header),
        claims=_json_object(claims_part, "claims"),
        signing_input=f"{header_part}.{claims_part}".encode(),
        signature=_base64url(signature_part, "signature"),
    )


def _refuse_extensions(header: Mapping[str, object]) -> None:
    # RFC 7515 section 4.1.11: what "crit" names must be understood, and kzproxy understands none.
    # "b64" would change what was signed (RFC 7797).
    for name in ("crit", "b64"):
        if name in header:
            raise Unauthenticated(f"the token's header has `{name}`, which kzproxy does not accept")


def _refuse_other_types(header: Mapping[str, object], types: frozenset[str]) -> None:
    token_type = header.get("typ", "JWT")
    if (
        not isinstance(token_type, str)
        or token_type.lower().removeprefix("application/") not in types
    ):
        wanted = "that of an ID or access token (JWT or at+jwt)"
        if types is not SIGN_IN_TYPES:
            wanted = " or ".join(sorted(types))
        raise Unauthenticated(f"the token's `typ` is not {wanted}")


def _algorithm(header: Mapping[str, object]) -> str:
    algorithm = header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise Unauthenticated(
            "the token is not signed with an accepted algorithm: " + ", ".join(sorted(ALGORITHMS))
        )
    return algorithm


def _key_id(header: Mapping[str, object]) -> str | None:
    if "kid" not in header:
        return None
    key_id = header["kid"]
    if not isinstance(key_id, str):
        raise Unauthenticated("the token's `kid` is not a string")
    if len(key_id.encode(errors="surrogatepass")) > MAX_KEY_ID_BYTES:
        raise Unauthenticated(f"the token's `kid` is longer than {MAX_KEY_ID_BYTES} bytes")
    return key_id


def _json_object(part: str, name: str) -> Mapping[str, object]:
    data = _base64url(part, name)
    try:
        value: object = json.loads(
            data.decode(), object_pairs_hook=_unique_members, parse_constant=_refuse_constant
        )
    except (ValueError, RecursionError) as error:
        raise Unauthenticated(f"the token's {name} cannot be read as JSON") from error
    if not isinstance(value, dict):
        raise Unauthenticated(f"the token's {name} is not a JSON object")
    return value


def _unique_members(pairs: list[tuple[str, object]]) -> dict[str, object]:
    members = dict(pairs)
    if len(members) != len(pairs):
        # RFC 7519 section 4 lets a reader take the last one; the issuer may have meant the first.
        raise ValueError("a member is given twice")
    return members


def _refuse_constant(name: str) -> object:
    raise ValueError(f"{name} is not JSON")


def _base64url(part: str, name: str) -> bytes:
    try:
        data = base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise Unauthenticated(f"the token's {name} is not base64url") from error
    # The last character has spare bits. One token has one spelling, or a cache and a deny-list
    # could be walked around by changing them.
    if base64.urlsafe_b64encode(data).rstrip(b"=") != part.encode():
        raise Unauthenticated(f"the token's {name} is not base64url")
    return data

"""The one client of the sign-in listener: `kzproxy` on somebody's machine (RFC 8252)."""

import base64
import hashlib
import hmac
import re

CLIENT_ID = "kzproxy-cli"

# RFC 8252 section 7.3: the port is the client's choice, and nothing else is.
_LOOPBACK = re.compile(r"http://127\.0\.0\.1:([1-9][0-9]{0,4})/callback")
_MAX_PORT = 65535
# RFC 7636: base64url of a SHA-256, which is always 43 characters; a verifier is 43 to 128.
_CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")
_VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


def is_redirect_uri(uri: str, code_page: str) -> bool:
    """Tell whether an answer may be sent to ``uri``; compared exactly (RFC 9700 section 4.1.3)."""
    if uri == code_page:
        return True
    match = _LOOPBACK.fullmatch(uri)
    return match is not None and int(match[1]) <= _MAX_PORT


def is_challenge(text: str) -> bool:
    """Tell whether ``text`` can be a code challenge by S256."""
    return _CHALLENGE.fullmatch(text) is not None


def answers(verifier: str, challenge: str) -> bool:
    """Tell whether ``verifier`` is what ``challenge`` was made from (RFC 7636 section 4.6)."""
    if not challenge or _VERIFIER.fullmatch(verifier) is None:
        return False
    digest = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode("ascii")).digest())
    return hmac.compare_digest(digest.rstrip(b"="), challenge.encode())

"""Where the client's key is kept. Part of a warm run: see ``plugin_settings``."""

import hashlib

CLIENT_KEY_SUFFIX = ".client-key.pem"

_DIGITS = 32


def client_key_name(sign_in_url: str) -> str:
    """Return the file's name in the cache: one for each kzproxy, whoever signs in there."""
    digest = hashlib.sha256(sign_in_url.encode()).hexdigest()
    return f"{digest[:_DIGITS]}{CLIENT_KEY_SUFFIX}"

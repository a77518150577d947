"""Where the client's key is kept: a file, or the system's keyring. Part of a warm run.

A key in the keyring has a file too, which says so and holds no key: whoever looks for the key finds
out where it is, without being told by an option. See ``plugin_settings`` for what a warm run is.
"""

import hashlib

from kzproxy.client.device_files import read_device_files, read_device_key
from kzproxy.client.held_session import HeldSession
from kzproxy.client.plugin_settings import PluginSettings
from kzproxy.client.token_cache import TokenCache

CLIENT_KEY_SUFFIX = ".client-key.pem"
IDENTITY_SUFFIX = ".identity"
"""Of files in which the key stands for a moment; see ``TlsIdentity``."""

# What a key file begins with whose key is in the keyring.
_IN_KEYRING = "in the keyring: "

_DIGITS = 32


def client_key_name(sign_in_url: str) -> str:
    """Return the file's name in the cache: one for each kzproxy, whoever signs in there."""
    digest = hashlib.sha256(sign_in_url.encode()).hexdigest()
    return f"{digest[:_DIGITS]}{CLIENT_KEY_SUFFIX}"


def key_in_use(cache: TokenCache, settings: PluginSettings) -> str | None:
    """Return the key that the session's certificate is for, PEM; None where there is none.

    Raises:
        ClientFailure: It cannot be read, or others could have read it.
    """
    if settings.device_key:
        return read_device_key(settings.device_key)
    return read_client_key(cache, settings.client.issuer)


def fits_this_machine(cache: TokenCache, settings: PluginSettings, session: HeldSession) -> bool:
    """Return whether the session's certificate can be shown with the key that is here.

    It cannot where somebody has removed the key, or where whoever manages this machine has
    replaced its certificate, as that may have come with another key.

    Raises:
        ClientFailure: What is here cannot be read.
    """
    if not settings.device_certificate:
        return key_in_use(cache, settings) is not None
    files = read_device_files(settings.device_certificate, settings.device_key)
    return files.certificate == session.certificate


def read_client_key(cache: TokenCache, sign_in_url: str) -> str | None:
    """Return the key, PEM; None where there is none.

    Raises:
        ClientFailure: It cannot be read, or others could have read it.
    """
    text = cache.read_text(client_key_name(sign_in_url))
    if text is None or not text.startswith(_IN_KEYRING):
        return text
    from kzproxy.client.keyring_store import from_keyring

    return from_keyring(text.removeprefix(_IN_KEYRING).strip())


def write_client_key(cache: TokenCache, sign_in_url: str, pem: str, *, in_keyring: bool) -> None:
    """Keep the key.

    Raises:
        ClientFailure: It cannot be.
    """
    name = client_key_name(sign_in_url)
    if not in_keyring:
        cache.write_text(name, pem)
        return
    from kzproxy.client.keyring_store import into_keyring

    into_keyring(sign_in_url, pem)
    cache.write_text(name, f"{_IN_KEYRING}{sign_in_url}\n")


def forget_client_keys(cache: TokenCache, sign_in_url: str = "") -> None:
    """Delete the key of one kzproxy, or all of them."""
    names = [client_key_name(sign_in_url)] if sign_in_url else cache.names(CLIENT_KEY_SUFFIX)
    for name in names:
        text = cache.read_text(name) or ""
        if text.startswith(_IN_KEYRING):
            from kzproxy.client.keyring_store import out_of_keyring

            out_of_keyring(text.removeprefix(_IN_KEYRING).strip())
        cache.remove(name)
    # By processes that were killed while they wrote it, or showed it.
    cache.remove_unfinished(client_key_name(sign_in_url) if sign_in_url else CLIENT_KEY_SUFFIX)
    for name in cache.names(IDENTITY_SUFFIX):
        cache.remove(name)

"""Which programs were given a token already. Part of a warm run: see ``plugin_settings``.

client-go runs its plugin for a process once, and again at the credential's end or after an answer
401; which of both, it does not say (client.authentication.k8s.io/v1 has no field for it).
So the plugin writes down the process that it gave a token to, its parent. Who comes back for the
same token before that is due has been refused with it, and the server is asked what is wrong: by a
renewal, which either gives a token that is taken or says why the session is over.

Some programs run the plugin for every request, though, and have been refused nothing. A renewal
does them no harm, and for this reason there is at most one in ``PAUSE_SECONDS``.
"""

import os

from kzproxy.client.token_cache import CacheEntry, TokenCache

PAUSE_SECONDS = 10

_MAX_BYTES = 64 * 1024
_APPEND = os.O_RDWR | os.O_CREAT | os.O_APPEND
_FLAGS = _APPEND | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)


def handed_out_before(cache: TokenCache, key: str, entry: CacheEntry, parent: int) -> bool:
    """Return whether process ``parent`` was given the token of ``entry`` before; note that it is.

    A file that cannot be written is no reason to refuse: then it is not known.
    """
    try:
        descriptor = os.open(cache.path(_name(key)), _FLAGS, 0o600)
    except OSError:
        return False
    try:
        # A file of parents for one token: it begins with the second at which that was had.
        begins = f"{entry.expires_at}:".encode()
        mark = f"{parent}\n".encode()
        known = os.read(descriptor, _MAX_BYTES)
        if not known.startswith(begins) or len(known) == _MAX_BYTES:
            os.truncate(descriptor, 0)
            os.write(descriptor, begins + b"\n" + mark)
            return False
        if b"\n" + mark in known:
            return True
        os.write(descriptor, mark)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return False


def forget(cache: TokenCache, key: str) -> None:
    """Forget to whom the token of the sign-in ``key`` was given: it is over."""
    cache.remove(_name(key))


def _name(key: str) -> str:
    return f"{key}.given"

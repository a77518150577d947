"""What an https URL leads to. Part of a warm run: see ``plugin_settings``.

By hand: importing urllib takes 4 ms.
"""

import re

MAX_PORT = 65535
DEFAULT_PORT = 443

# User, host and port; then only a path, as the URL is one to append to.
_URL = re.compile(
    r"https://(?:[^/@\[\]]*@)?(?:\[([^\[\]]+)\]|([^/@:\[\]]+))(?::([0-9]{0,5}))?(?:/.*)?",
    re.IGNORECASE,
)
# RFC 1035 section 2.3.4: the system's own look-up of names chokes on any other.
_LABEL_LENGTHS = range(1, 64)


def host_and_port(url: str) -> tuple[str, int]:
    """Return where ``url`` leads to: a host, an IPv6 address without its brackets, and a port.

    Raises:
        ValueError: It is not https, has a query or a fragment, or there can be no such host or
            port.
    """
    found = _URL.fullmatch(url)
    if found is None or not url.isprintable() or any(odd in url for odd in "?# "):
        raise ValueError(url)
    address, name, port = found[1], found[2], int(found[3] or DEFAULT_PORT)
    if address:
        _check_address(address)
    elif any(len(label) not in _LABEL_LENGTHS for label in name.removesuffix(".").split(".")):
        raise ValueError(url)
    if not 1 <= port <= MAX_PORT:
        raise ValueError(url)
    return address or name, port


def _check_address(text: str) -> None:
    from ipaddress import IPv6Address  # takes 3 ms, and hardly anybody signs in at an address

    IPv6Address(text)

"""Serial numbers of the certificates that kzproxy issues: each tells whose key it is for.

Whoever says that a certificate is to be refused has its number alone, and the next one of the same
key has another. So the first half of a number is the beginning of the key's thumbprint. The other
half is drawn: 64 bits, as many as are asked of public authorities (Baseline Requirements, 7.1).
"""

import secrets

_MARK_DIGITS = 16
_DRAWN_BITS = 64


def new_serial_number(thumbprint: str) -> int:
    """Return the number of a new certificate for a key.

    Args:
        thumbprint: From ``key_thumbprint``.
    """
    return int(mark_of_key(thumbprint), 16) << _DRAWN_BITS | secrets.randbits(_DRAWN_BITS)


def mark_of_key(thumbprint: str) -> str:
    """Return what the numbers of a key's certificates tell of it."""
    return thumbprint[:_MARK_DIGITS]


def mark_of_serial(serial: str) -> str:
    """Return what a number, in hex, tells of the key; empty for one that kzproxy did not give.

    An authority of somebody else's may by chance give one that looks like kzproxy's; what it tells
    is then the mark of no key that anybody has.
    """
    try:
        mark = int(serial, 16) >> _DRAWN_BITS
    except ValueError:
        return ""
    digits = f"{mark:0{_MARK_DIGITS}x}"
    return digits if mark > 0 and len(digits) == _MARK_DIGITS else ""

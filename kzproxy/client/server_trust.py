"""How servers are verified: as by kubectl, and alike under every Python."""

import ssl


def as_by_kubectl(context: ssl.SSLContext) -> ssl.SSLContext:
    """Return ``context``, which takes authorities without key identifiers from then on.

    From 3.13 on Python refuses them (``VERIFY_X509_STRICT``). Those of many companies, and of
    whatever looks into their TLS, are such, and their users cannot change them.
    """
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context

"""What a session is called: by its id where kzproxy keeps it, else one sign-in at one device."""

import hashlib

from kzproxy.attributes.device import DevicePosture
from kzproxy.attributes.identity import Identity


def session_id(subject: Identity, device: DevicePosture) -> str:
    """Return an id that stays the same over the token refreshes of one sign-in.

    Stable, so that kube-apiserver's authorization caches, which key on extras, keep working;
    derived, so that every worker and replica gives the same one without asking. 128 bits, hex.
    """
    if subject.is_session:
        return subject.sign_in
    parts = (subject.issuer, subject.subject, subject.sign_in, device.thumbprint)
    # The length before each part keeps ("ab", "c") and ("a", "bc") apart.
    text = "".join(f"{len(part)}:{part}" for part in parts)
    return hashlib.sha256(text.encode()).hexdigest()[:32]

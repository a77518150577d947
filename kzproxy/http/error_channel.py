"""What remotecommand's error channel carries, for exec and attach over WebSocket and SPDY alike."""

import json

# A Status as of version 4, before that plain text (apimachinery
# pkg/util/remotecommand/constants.go, client-go tools/remotecommand/v4.go).
_STATUS_PROTOCOLS = frozenset(
    {"v4.channel.k8s.io", "v4.base64.channel.k8s.io", "v5.channel.k8s.io"}
)


def error_channel_text(protocol: str, status_body: bytes) -> bytes:
    """Return the end of a session as clients of ``protocol`` read it.

    Args:
        protocol: The subprotocol that the server chose.
        status_body: A ``metav1.Status`` in JSON with a ``message``.
    """
    if protocol in _STATUS_PROTOCOLS:
        return status_body.strip()
    return str(json.loads(status_body)["message"]).encode()

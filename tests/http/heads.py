"""Request heads for the tests."""


def head_of(*lines: bytes, method: bytes = b"GET", target: bytes = b"/api/v1/pods") -> bytes:
    """Build a head with a Host and these further header lines."""
    request_line = method + b" " + target + b" HTTP/1.1"
    return b"\r\n".join([request_line, b"Host: kz.example:8443", *lines, b"", b""])

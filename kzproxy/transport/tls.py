"""TLS contexts for both sides, and the verified peer chain.

No session is ever resumed, so that an identity from a certificate never outlives its revocation:
no tickets, no renegotiation, and a resumed TLS 1.2 session is closed by either listener.
"""

import errno
import os
import ssl
from pathlib import Path
from typing import Any

import msgspec

# X509_V_FLAG_NO_CHECK_TIME of OpenSSL's x509_vfy.h; the ssl module has no name for it. An expired
# device certificate would otherwise end in a bare TLS alert and the user would be told nothing:
# its dates are checked on every request instead (devices.device_certificate).
_NO_CHECK_TIME = 0x200000

_TLS12_AEAD_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
HTTP_1_1 = "http/1.1"


class ListenerTls(msgspec.Struct, frozen=True, kw_only=True):
    """What the API listener shows and whom it believes.

    Attributes:
        certificate_file: PEM, leaf first.
        private_key_file: PEM.
        device_authority_file: PEM bundle of the CAs that name devices; None for none.
        managed_authority_file: PEM bundle of the CAs of an MDM; with neither, no certificate is
            asked for at all.
        minimum_version: 1.3 unless the operator lowers it to 1.2.
    """

    certificate_file: Path
    private_key_file: Path
    device_authority_file: Path | None = None
    managed_authority_file: Path | None = None
    minimum_version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3


def listener_context(settings: ListenerTls) -> ssl.SSLContext:
    """Build the API listener's context.

    Raises:
        OSError: A file cannot be read.
        ssl.SSLError: A file is not what it should be, or key and certificate do not match.
        ValueError: The key is encrypted.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    _harden(context, settings.minimum_version)
    context.num_tickets = 0
    context.load_cert_chain(settings.certificate_file, settings.private_key_file, _no_password)
    for authorities in (settings.device_authority_file, settings.managed_authority_file):
        if authorities is None:
            continue
        context.load_verify_locations(authorities)
        context.verify_mode = ssl.CERT_OPTIONAL
        context.verify_flags |= ssl.VerifyFlags(_NO_CHECK_TIME)
    return context


def trusting(authority_pem: str) -> ssl.SSLContext:
    """Return a context that verifies servers, as Go does and alike under every Python.

    From 3.13 on Python refuses authorities without key identifiers (``VERIFY_X509_STRICT``), such
    as those of Amazon EKS clusters and of many companies, which their users cannot change.

    Args:
        authority_pem: The CAs to verify with; empty for the system's.
    """
    context = ssl.create_default_context(cadata=authority_pem or None)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def upstream_context(authority_pem: str, client_pem: str) -> ssl.SSLContext:
    """Build the context for connections to kube-apiserver; its certificate is always verified.

    Args:
        authority_pem: The CAs to verify it with; empty for the system's.
        client_pem: Certificate and key of our own; empty for none.

    Raises:
        ssl.SSLError: One of them is not what it should be.
        ValueError: The key is encrypted.
    """
    context = trusting(authority_pem)
    _harden(context, ssl.TLSVersion.TLSv1_2)
    if client_pem:
        _load_from_memory(context, client_pem)
    return context


def _load_from_memory(context: ssl.SSLContext, pem: str) -> None:
    """Load certificate and key; the ssl module reads files only, so give it one without a disk."""
    descriptor = os.memfd_create("kzproxy-client-certificate", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, pem.encode())
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password=_no_password)
    finally:
        os.close(descriptor)


def _no_password() -> str:
    """Refuse an encrypted key: OpenSSL would ask the terminal, and wait there for ever."""
    raise ValueError("the private key is encrypted, and kzproxy is given no password")


class _LightSocket(ssl.SSLSocket):
    """An ``SSLSocket`` with a place for each of its attributes: its dictionary is half of it."""

    __slots__ = (
        "_connected",
        "_context",
        "_session",
        "_sslobj",
        "do_handshake_on_connect",
        "server_hostname",
        "server_side",
        "suppress_ragged_eofs",
    )

    def getpeername(self) -> Any:
        """Return the peer's name; where it is gone while this is being made, close this first.

        ``SSLSocket`` asks for it then. It would leave itself to the garbage collector, descriptor
        and all, or (before Python 3.11.4) go on without TLS.
        """
        try:
            return super().getpeername()
        except OSError as error:
            if hasattr(self, "_connected"):
                raise
            self.close()
            raise ConnectionResetError(errno.ECONNRESET, "the peer has hung up") from error


def _harden(context: ssl.SSLContext, minimum_version: ssl.TLSVersion) -> None:
    context.sslsocket_class = _LightSocket
    context.minimum_version = minimum_version
    context.set_ciphers(_TLS12_AEAD_CIPHERS)
    context.options |= ssl.OP_NO_TICKET | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_COMPRESSION
    context.set_alpn_protocols([HTTP_1_1])


def verified_chain(sock: ssl.SSLSocket | ssl.SSLObject) -> tuple[bytes, ...]:
    """Return the chain that TLS verified, DER, leaf first; empty without a certificate.

    ``getpeercert`` gives the leaf alone and ``get_verified_chain`` is public from CPython 3.13 on;
    before that it is only on the underlying object.
    """
    public = getattr(sock, "get_verified_chain", None)
    if public is not None:
        return tuple(public() or ())
    underlying: Any = sock._sslobj  # type: ignore[union-attr]  # noqa: SLF001
    certificates = underlying.get_verified_chain() or ()
    return tuple(certificate.public_bytes(_ENCODING_DER) for certificate in certificates)


_ENCODING_DER = 2  # _ssl.ENCODING_DER

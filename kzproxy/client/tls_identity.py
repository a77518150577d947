"""The client's certificate and key, for TLS in this process."""

import os
import ssl
from dataclasses import dataclass, field

from kzproxy.client.failure import ClientFailure
from kzproxy.client.token_cache import TokenCache


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsIdentity:
    """A certificate with its key.

    Attributes:
        certificate: PEM chain, the leaf first.
        key: PEM.
        cache: Where the file is made that OpenSSL reads both from.
    """

    certificate: str = field(repr=False)
    key: str = field(repr=False)
    cache: TokenCache = field(repr=False)

    def check(self) -> None:
        """Raise ClientFailure where they cannot be used, or do not belong together."""
        self.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))

    def load_into(self, context: ssl.SSLContext) -> None:
        """Have ``context`` show them to a server that asks.

        Python's ssl reads them from a file only: one that is there for this moment, in the private
        directory.

        Raises:
            ClientFailure: They cannot be used, or do not belong together.
        """
        name = f"{os.urandom(8).hex()}.identity"
        text = self.certificate.rstrip() + "\n" + self.key
        self.cache.prepare()
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with os.fdopen(os.open(self.cache.path(name), flags, 0o600), "w") as file:
                file.write(text)
            context.load_cert_chain(self.cache.path(name))
        except ssl.SSLError as error:
            message = f"this client's certificate and key cannot be used: {error.reason}"
            raise ClientFailure(message) from None
        except OSError as error:
            path = self.cache.path(name)
            raise ClientFailure(f"{path} cannot be written: {error.strerror}") from None
        finally:
            self.cache.remove(name)

"""The client's certificate and key, for TLS in this process."""

import os
import ssl
from dataclasses import dataclass, field

from kzproxy.client.failure import ClientFailure
from kzproxy.client.kept_key import IDENTITY_SUFFIX
from kzproxy.client.token_cache import TokenCache


class UnusableIdentity(ClientFailure):
    """The certificate and the key cannot be used, or do not belong together."""


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
        """Load them and let them go; for what it raises see ``load_into``."""
        self.load_into(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))

    def load_into(self, context: ssl.SSLContext) -> None:
        """Have ``context`` show them to a server that asks.

        Python's ssl reads them from a file only: one that is there for this moment, in the private
        directory.

        Raises:
            UnusableIdentity: As they are.
            ClientFailure: The file cannot be written.
        """
        name = f"{os.urandom(8).hex()}{IDENTITY_SUFFIX}"
        text = self.certificate.rstrip() + "\n" + self.key
        self.cache.prepare()
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
            with os.fdopen(os.open(self.cache.path(name), flags, 0o600), "w") as file:
                file.write(text)
            context.load_cert_chain(self.cache.path(name))
        except ssl.SSLError as error:
            message = f"this client's certificate and key cannot be used: {error.reason}"
            raise UnusableIdentity(message) from None
        except OSError as error:
            path = self.cache.path(name)
            raise ClientFailure(f"{path} cannot be written: {error.strerror}") from None
        finally:
            self.cache.remove(name)

"""What a sign-in is redeemed at, and what it gives: an issuer's tokens, or a session of kzproxy."""

from typing import Protocol, TypeVar

from kzproxy.client.issuer_http import Document


class Granted(Protocol):
    """What a sign-in gives."""

    def check(self, issuer: str, client_id: str, nonce: str | None) -> None:
        """Raise ClientFailure where it does not answer the sign-in that ``nonce`` was sent with."""


GrantT = TypeVar("GrantT", bound=Granted, covariant=True)


class Grants(Protocol[GrantT]):
    """A token endpoint."""

    def redeem_code(self, code: str, redirect_uri: str, code_verifier: str) -> GrantT:
        """Trade an authorization code in."""

    def redeem_device_code(self, device_code: str, code_verifier: str) -> GrantT:
        """Trade a device code in."""

    def ask_device_code(self, scopes: tuple[str, ...], extra: dict[str, str]) -> Document:
        """Return the device authorization response."""

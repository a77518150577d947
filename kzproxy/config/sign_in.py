"""The ``signIn`` section: kzproxy signs people in itself and keeps their sessions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from kzproxy.authentication.provider_settings import ProviderSettings
from kzproxy.authentication.settings import JwtIssuerSettings
from kzproxy.config.document import Node
from kzproxy.config.sign_in_providers import load_providers


@dataclass(frozen=True, slots=True, kw_only=True)
class SignInSettings:
    """How people sign in.

    Attributes:
        providers: Where.
    """

    providers: tuple[ProviderSettings, ...]


def load_sign_in(node: Node, issuers: Sequence[JwtIssuerSettings], base: Path) -> SignInSettings:
    """Read the section; ``issuers`` are those of the authenticationFile."""
    fields = node.mapping(required=("providers",))
    return SignInSettings(providers=load_providers(fields["providers"], issuers, base))

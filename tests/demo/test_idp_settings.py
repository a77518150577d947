"""The demo provider is within reach of this machine only."""

from datetime import timedelta

import pytest

from kzproxy.demo.idp_settings import IdentityProviderSettings, Lifetimes
from kzproxy.errors.configuration import ConfigurationError


@pytest.mark.parametrize("address", ["127.0.0.1", "127.8.9.1", "::1"])
def test_a_loopback_address_is_accepted(address):
    assert IdentityProviderSettings(address=address).address == address


@pytest.mark.parametrize(
    "address",
    ["0.0.0.0", "::", "192.0.2.7", "10.0.0.1", "localhost", "", "127.0.0.1:80", "2001:db8::1"],
)
def test_any_other_address_is_refused(address):
    with pytest.raises(ConfigurationError, match="only a loopback address"):
        IdentityProviderSettings(address=address)


def test_keys_may_not_be_withdrawn_before_the_tokens_they_signed_have_ended():
    with pytest.raises(ConfigurationError, match="outlive their key"):
        IdentityProviderSettings(lifetimes=Lifetimes(key_overlap=timedelta(seconds=1)))

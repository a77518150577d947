"""The demo provider does what a foreign one does."""

import pytest

from tests.conformance.oidc_provider import CHECKS, Check, ProviderUnderTest, check_provider


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_the_demo_provider_conforms(check: Check, under_test: ProviderUnderTest):
    await check_provider(under_test, check)

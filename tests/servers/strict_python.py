"""TLS as Python verifies it from 3.13 on, whichever Python runs the tests."""

import ssl
from typing import Any

import pytest


@pytest.fixture
def strict_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have contexts made with ``VERIFY_X509_STRICT``, which they have by default since then."""
    made: Any = ssl.create_default_context

    def strict(*arguments: Any, **named: Any) -> ssl.SSLContext:
        context: ssl.SSLContext = made(*arguments, **named)
        context.verify_flags |= ssl.VERIFY_X509_STRICT
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)

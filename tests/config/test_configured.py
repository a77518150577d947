"""A configuration is read together with what is to be looked at again."""

from pathlib import Path

import pytest

from kzproxy.config.configured import Configured
from kzproxy.errors.configuration import ConfigurationError


def test_one_that_cannot_be_run_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "kzproxy.yaml"
    file.write_text("kind: Something\n")

    with pytest.raises(ConfigurationError):
        Configured.read(file)

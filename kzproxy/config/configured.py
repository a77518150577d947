"""A ``ProxyConfiguration`` as it was read, and what it was read from."""

from pathlib import Path
from typing import Self

import msgspec

from kzproxy.config.proxy import ProxySettings, load_proxy_settings
from kzproxy.config.sources import Sources


class Configured(msgspec.Struct, frozen=True, kw_only=True):
    """What kzproxy is to run by.

    Attributes:
        file: The one that it is given.
        settings: What that says, and those that it names.
        sources: All of them, as they were when they were read.
    """

    file: Path
    settings: ProxySettings
    sources: Sources

    @classmethod
    def read(cls, file: Path) -> Self:
        """Read all files.

        Raises:
            ConfigurationError: kzproxy cannot be run so.
        """
        sources = Sources()
        return cls(file=file, settings=load_proxy_settings(file, sources), sources=sources)

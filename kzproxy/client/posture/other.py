"""The collector of systems that have none yet: it says which system it is, and that is all."""

import platform
from collections.abc import Mapping

from kzproxy import __version__
from kzproxy.client.posture.finding import Posture, cut

_PLATFORMS: Mapping[str, str] = {"Darwin": "macos", "Windows": "windows"}


class OtherCollector:
    """See ``Collector``."""

    def collect(self) -> Posture:
        """Find out what can be found out; see ``Collector``."""
        system = platform.system()
        name = _PLATFORMS.get(system, system.lower())
        version = platform.mac_ver()[0] or platform.version()
        return Posture(
            agent=("kzproxy", __version__),
            os={
                "platform": cut(name),
                "id": cut(name),
                "name": cut(system),
                "version": cut(version),
                "kernel": cut(platform.release()),
                "arch": cut(platform.machine()),
            },
            hardware={},
            checks={},
            missing={"checks": f"there are no collectors for {cut(system)} yet"},
        )

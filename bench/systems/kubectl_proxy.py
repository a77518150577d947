"""``kubectl proxy``: plain HTTP on the inside, no authentication. For orientation only."""

from pathlib import Path

from bench.load import Door
from bench.systems.system import Site, System


class KubectlProxy(System):
    """kubectl proxy with its own defaults."""

    name = "kubectl proxy"

    def __init__(self, site: Site, program: Path) -> None:
        """Take kubectl's path."""
        super().__init__(site)
        self._program = program

    @property
    def door(self) -> Door:
        """Plain HTTP; a token would go upstream, and be refused there."""
        return Door(address=f"127.0.0.1:{self.port}", authority=None, credentials=False)

    def command(self) -> list[str]:
        """Return what starts it."""
        return [
            str(self._program),
            "proxy",
            f"--kubeconfig={self.site.upstream.kubeconfig}",
            f"--port={self.port}",
        ]

"""kubectl with one kubeconfig, and nothing of the caller's own."""

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

from kzproxy.demo.component import ControlPlaneError

TIMEOUT_SECONDS = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubectl:
    """Runs kubectl to its end.

    Attributes:
        cache: Where it keeps what it has discovered; not the caller's ``~/.kube``.
    """

    program: Path
    kubeconfig: Path
    cache: Path

    def run(self, *arguments: str, stdin: str = "") -> str:
        """Return what it prints.

        Raises:
            ControlPlaneError: It failed, or took longer than a minute.
        """
        command = [str(self.program), *arguments]
        try:
            done = subprocess.run(  # noqa: S603 (the command is ours)
                command,
                input=stdin,
                env=self.environment(),
                capture_output=True,
                text=True,
                timeout=TIMEOUT_SECONDS,
                check=True,
            )
        except subprocess.TimeoutExpired as error:
            raise ControlPlaneError(f"kubectl {' '.join(arguments)}: took too long") from error
        except subprocess.CalledProcessError as error:
            words = str(error.stderr).strip()
            raise ControlPlaneError(f"kubectl {' '.join(arguments)}: {words}") from error
        return done.stdout

    def environment(self) -> dict[str, str]:
        """Return the environment that leads kubectl to this cluster and no other."""
        return {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.cache),
            "KUBECONFIG": str(self.kubeconfig),
            "KUBECACHEDIR": str(self.cache),
        }

"""A second kube-apiserver, started with an AuthenticationConfiguration."""

from pathlib import Path

from kzproxy.demo.control_plane import ControlPlane


def api_server_command(control_plane: ControlPlane, port: int, file: Path) -> list[str]:
    """Return the command of another kube-apiserver on the same etcd, with such a file."""
    replaced = ("--secure-port", "--audit-log-path", "--audit-policy-file")
    command = [
        argument
        for argument in control_plane._commands.api_server()
        if not argument.startswith(replaced)
    ]
    return [*command, f"--secure-port={port}", f"--authentication-config={file}"]

"""nginx as the limit."""

from pathlib import Path

from bench.load import Door
from bench.systems.system import Site, System
from bench.world import SERVER_NAME

_CONFIGURATION = Path(__file__).parents[1] / "nginx.conf"


class Nginx(System):
    """nginx: no authentication, no authorization; static headers; a buffered access log."""

    name = "nginx"
    impersonates = True

    def __init__(self, site: Site, program: str) -> None:
        """Take nginx's path."""
        super().__init__(site)
        self._program = program

    @property
    def door_with_devices(self) -> Door:
        """The second listener of bench/nginx.conf."""
        address = f"127.0.0.1:{self._second_port}"
        return Door(address=address, authority=self.site.world.authority, certificates=True)

    @property
    def door_without_devices(self) -> Door:
        """The first, which everything else is measured at."""
        return self.door

    def command(self) -> list[str]:
        """Write its files; return what starts it."""
        world, directory = self.site.world, self.site.directory
        values = {
            "DIRECTORY": directory,
            "PROXY_CERTIFICATE": world.directory / "proxy.crt",
            "PROXY_KEY": world.directory / "proxy.key",
            "DEVICE_AUTHORITY": world.directory / "device-ca.crt",
            "AUTHORITY": self.site.upstream.authority,
            "UPSTREAM": self.site.upstream.address,
            "UPSTREAM_NAME": SERVER_NAME,
            "TOKEN": self.site.upstream.token_file.read_text().strip(),
            "PORT": self.port,
            "PORT_WITH_DEVICES": self._second_port,
        }
        text = _CONFIGURATION.read_text()
        for name, value in values.items():
            text = text.replace(f"@{name}@", str(value))
        file = directory / "nginx.conf"
        file.write_text(text)
        return [self._program, "-p", str(directory), "-c", str(file), "-e", "stderr"]

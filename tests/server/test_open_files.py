"""The limit on open files, in a process of its own: it cannot be taken back."""

import subprocess
import sys

PROGRAM = """
import resource
from kzproxy.server.open_files import raise_open_file_limit
from kzproxy.transport.connection_limits import connections_by_open_files
resource.setrlimit(resource.RLIMIT_NOFILE, (256, 2000))
raise_open_file_limit()
print(*resource.getrlimit(resource.RLIMIT_NOFILE), connections_by_open_files())
"""


def test_the_soft_limit_is_raised_to_the_hard_one_and_gives_the_room_for_connections() -> None:
    ran = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, check=True)

    assert ran.stdout.split() == [b"2000", b"2000", b"936"]

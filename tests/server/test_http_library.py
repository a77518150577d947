import subprocess
import sys

from kzproxy.server.http_library import check_parser


def test_the_c_parser_is_in_use() -> None:
    check_parser()


def test_a_kzproxy_that_signs_nobody_in_does_without_aiohttp() -> None:
    """It weighs 11 MiB in each worker."""
    loaded = "import sys, kzproxy.cli.serve; print('aiohttp' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", loaded], capture_output=True, text=True, check=True
    )

    assert done.stdout == "False\n"

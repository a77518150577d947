"""What a worker must not load to serve: each of these weighs megabytes and a part of its start."""

import subprocess
import sys

HEAVY = (
    "cel_expr_python",
    "http.client",
    "httpx",
    "rich",
    "sqlite3",
    "urllib.request",
    "kzproxy.administrator.reverification",
    "kzproxy.authentication.provider_client",
    "kzproxy.client",
    "kzproxy.demo",
    "kzproxy.server.kept",
)


def said_by(program: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_worker_without_expressions_loads_nothing_heavy() -> None:
    program = (
        "import sys, kzproxy.cli.serve, kzproxy.server.serve;"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    assert said_by(program) == "[]"


def test_what_serves_is_loaded_after_the_configuration_was_read() -> None:
    """What reading takes for a moment is then used again, and not left behind for good."""
    program = (
        "import sys, kzproxy.cli.serve;"
        "print([name for name in sys.modules if name in"
        " ('kzproxy.enforcement.point', 'kzproxy.server.serve', 'kzproxy.policy.engine')])"
    )
    assert said_by(program) == "[]"

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


def test_a_worker_without_expressions_loads_nothing_heavy() -> None:
    program = (
        "import sys, kzproxy.cli.serve, kzproxy.server.serve;"
        f"print([name for name in {HEAVY!r} if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"

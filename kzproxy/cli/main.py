"""The entry point.

kubectl starts ``kzproxy credential`` for every command it runs, so that one is dispatched here,
before click and everything behind it is imported.
"""

import sys


def main() -> None:
    """Run the command line of ``sys.argv`` and exit with its code."""
    if sys.argv[1:2] == ["credential"]:
        from kzproxy.client.credential import main as answer_kubectl

        sys.exit(answer_kubectl(sys.argv[2:]))
    from kzproxy.cli.command_group import run

    run(sys.argv[1:])

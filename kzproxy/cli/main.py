"""The entry point.

kubectl starts ``kzproxy credential`` for every command it runs, so that one is dispatched here,
before click and everything behind it is imported.
"""

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line of ``sys.argv`` and exit with its code."""
    if sys.argv[1:2] == ["credential"]:
        from kzproxy.client import credential

        sys.exit(credential.main(sys.argv[2:]))
    from kzproxy.cli import command_group

    sys.exit(command_group.run(sys.argv[1:]))

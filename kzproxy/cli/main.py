"""The entry point.

kubectl starts ``kzproxy credential`` for every command it runs, so that one is dispatched here,
before click and everything behind it is imported.
"""

import gc
import sys

# CPython's are 700, 10, 10 (gc.get_threshold). Modules that are imported hold hardly a cycle, and
# neither do requests: looking for some took a fifth of the CPU of a small one, 82 microseconds.
_GC_THRESHOLDS = (20_000, 20, 50)


def main() -> None:
    """Run the command line of ``sys.argv`` and exit with its code."""
    gc.set_threshold(*_GC_THRESHOLDS)
    if sys.argv[1:2] == ["credential"]:
        from kzproxy.client.credential import main as answer_kubectl

        sys.exit(answer_kubectl(sys.argv[2:]))
    from kzproxy.cli.command_group import run

    run(sys.argv[1:])

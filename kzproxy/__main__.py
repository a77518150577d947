"""``python -m kzproxy``: the same as the command ``kzproxy``."""

import sys

if __name__ == "__main__":
    # `-m` puts the present directory first, where a cloned repository may have a json.py; `-P` does
    # not, but kubeconfigs of earlier versions are without it. Our own package is found by now.
    if not sys.flags.safe_path:
        del sys.path[0]
    from kzproxy.cli.main import main

    main()

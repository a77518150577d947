"""``python -m kzproxy``: the same as the command ``kzproxy``."""

from kzproxy.cli.main import main

if __name__ == "__main__":
    main()

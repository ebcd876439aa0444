"""The command `search`: see `python tools/search.py --help`."""

import sys

from paddle_automl.cli.search import main

if __name__ == "__main__":
    sys.exit(main())

"""The command `loadtest`: see `python tools/loadtest.py --help`."""

import sys

from paddle_automl.cli.loadtest import main

if __name__ == "__main__":
    sys.exit(main())

"""The command `watch`: see `python tools/watch.py --help`."""

import sys

from paddle_automl.cli.watch import main

if __name__ == "__main__":
    sys.exit(main())

"""The command `refit`: see `python tools/refit.py --help`."""

import sys

from paddle_automl.cli.refit import main

if __name__ == "__main__":
    sys.exit(main())

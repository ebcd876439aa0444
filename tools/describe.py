"""The command `describe`: see `python tools/describe.py --help`."""

import sys

from paddle_automl.cli.describe import main

if __name__ == "__main__":
    sys.exit(main())

"""The command `verify`: see `python tools/verify.py --help`."""

import sys

from paddle_automl.cli.verify import main

if __name__ == "__main__":
    sys.exit(main())

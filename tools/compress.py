"""The command `compress`: see `python tools/compress.py --help`."""

import sys

from paddle_automl.cli.compress import main

if __name__ == "__main__":
    sys.exit(main())

"""The command `export`: see `python tools/export.py --help`."""

import sys

from paddle_automl.cli.export import main

if __name__ == "__main__":
    sys.exit(main())

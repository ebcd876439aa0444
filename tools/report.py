"""The command `report`: see `python tools/report.py --help`."""

import sys

from paddle_automl.cli.report import main

if __name__ == "__main__":
    sys.exit(main())

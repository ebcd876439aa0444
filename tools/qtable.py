"""The command `qtable`: see `python tools/qtable.py --help`."""

import sys

from paddle_automl.cli.qtable import main

if __name__ == "__main__":
    sys.exit(main())

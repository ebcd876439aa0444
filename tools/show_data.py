"""The command `show_data`: see `python tools/show_data.py --help`."""

import sys

from paddle_automl.cli.show_data import main

if __name__ == "__main__":
    sys.exit(main())

"""The command `evaluate`: see `python tools/evaluate.py --help`."""

import sys

from paddle_automl.cli.evaluate import main

if __name__ == "__main__":
    sys.exit(main())

"""The command `train`: see `python tools/train.py --help`."""

import sys

from paddle_automl.cli.train import main

if __name__ == "__main__":
    sys.exit(main())

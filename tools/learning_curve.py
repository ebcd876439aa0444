"""The command `learning_curve`: see `python tools/learning_curve.py --help`."""

import sys

from paddle_automl.cli.learning_curve import main

if __name__ == "__main__":
    sys.exit(main())

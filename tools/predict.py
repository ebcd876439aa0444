"""The command `predict`: see `python tools/predict.py --help`."""

import sys

from paddle_automl.cli.predict import main

if __name__ == "__main__":
    sys.exit(main())

"""The command `serve`: see `python tools/serve.py --help`."""

import sys

from paddle_automl.cli.serve import main

if __name__ == "__main__":
    sys.exit(main())

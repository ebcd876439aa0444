"""The command `profile_step`: see `python tools/profile_step.py --help`."""

import sys

from paddle_automl.cli.profile_step import main

if __name__ == "__main__":
    sys.exit(main())

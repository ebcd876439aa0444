"""``python -m paddle_automl COMMAND``."""

import sys

from paddle_automl.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

"""The command `benchmark`: see `python tools/benchmark.py search --help`."""

import sys

from paddle_automl.benchmarks.command import main

if __name__ == "__main__":
    sys.exit(main())

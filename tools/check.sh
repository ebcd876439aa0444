#!/usr/bin/env bash
# All checks of the repository: lint, format, types, layers, tests. Stops at the first that fails.
# PYTHON names the interpreter of an environment with `pip install -e ".[dev]"`; arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/.."
python="${PYTHON:-python}"

"$python" -m ruff check .
"$python" -m ruff format --check .
"$python" -m mypy paddle_automl
"$python" -c "import sys; from importlinter.cli import lint_imports_command; sys.exit(lint_imports_command())"
# Two processes; the tests of a file stay together, because they share fixtures that take long. In the order of the
# files the longest, which run whole commands, begin early; xdist would leave them to the end.
"$python" -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder "$@"

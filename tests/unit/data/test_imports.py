"""Decoding and preparing data come without the cost of importing Paddle."""

import subprocess
import sys

PROGRAM = """
import sys
from paddle_automl.data.config import DataConfig
from paddle_automl.data.prepare import prepare
for _ in prepare(DataConfig(), seed=0).train.batches(64):
    pass
print(sorted(name for name in ("paddle", "cv2", "torch") if name in sys.modules))
"""


def test_preparing_arrays_imports_no_framework():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"

"""From Paddle's files to an ONNX file, in a process of its own.

paddle2onnx ends the process it runs in (SIGABRT) where it meets an operator that it does not know.
Run as ``python -m ... PROGRAM WEIGHTS TARGET OPSET``.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from paddle_automl.core.errors import UnsupportedError

TIMEOUT_S = 300


def convert(program: Path, weights: Path, target: Path, opset: int) -> None:
    """Write the ONNX file `target`; raises UnsupportedError for a network that ONNX cannot hold."""
    command = [sys.executable, "-W", "ignore", "-m", __name__, str(program), str(weights), str(target), str(opset)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise UnsupportedError(f"exporter onnx: paddle2onnx did not end within {TIMEOUT_S} s") from None
    if done.returncode or not target.is_file():
        text = (done.stderr + done.stdout).decode("utf-8", errors="replace")
        raise UnsupportedError(
            f"exporter onnx: paddle2onnx cannot convert the network: {_reason(text)}; use another format"
        )


def _reason(text: str) -> str:
    """Return the line that says why: paddle2onnx surrounds it with a trace of the crash."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    for line in lines:
        if ("support" in line.lower() and "not" in line.lower()) or "unsupported" in line.lower():
            return line
    return lines[-1] if lines else "it ended without a word"


def main(program: str, weights: str, target: str, opset: str) -> None:
    """Convert; called in the process that may end here."""
    import paddle2onnx

    # Its default optimizer runs `pip install` in the process.
    paddle2onnx.export(program, weights, target, opset_version=int(opset), verbose=False, optimize_tool="None")


if __name__ == "__main__":
    main(*sys.argv[1:])

"""Conversion of Paddle's files to an ONNX file, in a separate process.

paddle2onnx aborts its process (SIGABRT) at an operator that it does not know.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from paddle_automl.core.errors import UnsupportedError

TIMEOUT_S = 300
_CODE = f"import json, sys; sys.path[:] = json.loads(sys.argv[1]); from {__name__} import main; main(*sys.argv[2:])"
"""Uses the import path of this process; otherwise Python would first search the working directory."""


def convert(program: Path, weights: Path, target: Path, opset: int) -> None:
    """Write the ONNX file `target`; raises UnsupportedError for a network that ONNX cannot represent."""
    arguments = [json.dumps(sys.path), str(program), str(weights), str(target), str(opset)]
    command = [sys.executable, "-W", "ignore", "-c", _CODE, *arguments]
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
    """Return the line with the reason, which paddle2onnx surrounds with a trace of the crash."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    found = [line for line in lines if "unsupported" in line.lower() or "not support" in line.lower()]
    chosen = (found or lines[-1:] or ["it ended without a message"])[0]
    return chosen.removeprefix("[ERROR][Paddle2ONNX]").strip().rstrip(".")


def main(program: str, weights: str, target: str, opset: str) -> None:
    """Convert the file, in the separate process, which may be aborted."""
    import paddle2onnx

    # Its default optimizer would run `pip install`.
    paddle2onnx.export(program, weights, target, opset_version=int(opset), verbose=False, optimize_tool="None")

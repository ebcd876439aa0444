"""Exported weights of quantized networks as 8-bit integers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import paddle

from paddle_automl.core.errors import UnsupportedError
from paddle_automl.paddle_compat.slim.old_ir import static_old_ir

DEQUANTIZE = "dequantize_linear"


def pack_int8(source: str, target: str) -> int:
    """Store the integer-valued float32 weights of an exported quantized network as int8; return how many.

    `source` and `target` are path prefixes of ``.pdmodel`` and ``.pdiparams``. Needed for size (a quarter) and for
    correct results: oneDNN's int8 kernels treat integers stored as float32 as ordinary numbers. Raises
    UnsupportedError for weights that are not 8-bit integers.
    """
    from paddle import static

    with static_old_ir():
        scope = paddle.base.core.Scope()
        with static.scope_guard(scope):
            executor = static.Executor(paddle.CPUPlace())
            program, feeds, fetches = static.load_inference_model(source, executor)
            names = weights_of(program)
            packed = sum(_pack(scope, name) for name in names)
            block = program.global_block()
            static.save_inference_model(
                target,
                [block.var(name) for name in feeds],
                fetches,
                executor,
                program=program.clone(),
                clip_extra=True,
            )
    return packed


def weights_of(program: Any) -> list[str]:
    """Return the names of the weights that a quantized program dequantizes."""
    block = program.global_block()
    inputs = [operator.input("X")[0] for operator in block.ops if operator.type == DEQUANTIZE]
    return [name for name in dict.fromkeys(inputs) if block.var(name).persistable]


def is_quantized(program_file: Path) -> bool:
    """Return whether a ``.pdmodel`` file holds a quantized network."""
    # The file is a protocol buffer, which contains names of operators as plain text.
    return DEQUANTIZE.encode("ascii") in program_file.read_bytes()


def _pack(scope: Any, name: str) -> int:
    tensor = scope.find_var(name).get_tensor()
    weight = np.array(tensor)
    if weight.dtype == np.int8:
        return 0
    rounded = np.rint(weight)
    if np.abs(rounded).max() > 128 or np.abs(weight - rounded).max() > 1e-3:
        raise UnsupportedError(
            f"weight '{name}' is not made of 8-bit integers (range {weight.min():g} to {weight.max():g}); "
            "convert the network before it is exported"
        )
    tensor.set(np.clip(rounded, -128, 127).astype(np.int8), paddle.CPUPlace())
    return 1

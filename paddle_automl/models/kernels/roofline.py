"""The processor's peak speed, measured now: matrix products and convolutions."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import paddle
from paddle import Tensor

from paddle_automl.core.seeds import generator
from paddle_automl.models import kernels
from paddle_automl.models.kernels import layers as fast

ROUNDS = 5


def measure(dtypes: Sequence[str]) -> dict[str, dict[str, float]]:
    """Return GFLOP per CPU-second by type and kind of operation, the fastest of some rounds.

    ``matmul``: 1024 x 1024 x 1024; in float32 by the library under Paddle, in bfloat16 as a linear layer.
    ``convolution``: 3 x 3, 64 to 64 channels, 8 maps of 28 x 28, forward. Types without processor support are left
    out.
    """
    found: dict[str, dict[str, float]] = {}
    random = generator(0, "roofline")
    maps = paddle.to_tensor(random.standard_normal((8, 64, 28, 28), dtype=np.float32))
    matrix = paddle.to_tensor(random.standard_normal((1024, 1024), dtype=np.float32))
    conv = fast.Conv2D(64, 64, 3, padding=1, bias_attr=False)
    linear = fast.Linear(1024, 1024, bias_attr=False)
    conv_gflop, matrix_gflop = 2 * 8 * 28 * 28 * 64 * 64 * 9 / 1e9, 2 * 1024**3 / 1e9
    for dtype in dtypes:
        found[dtype] = {}
        if dtype == "float32":
            found[dtype]["matmul"] = matrix_gflop / _fastest(lambda x: paddle.matmul(x, x), matrix, 2)
        if kernels.unsupported(dtype):
            continue
        with paddle.no_grad(), kernels.use(dtype):
            # Once more in the memory order and type of maps between fast layers.
            between = conv(maps)
            found[dtype]["convolution"] = conv_gflop / _fastest(conv.forward, between, 10)
            if dtype == "bfloat16":
                low = matrix.astype(dtype)
                found[dtype]["matmul"] = matrix_gflop / _fastest(linear.forward, low, 4)
    return found


def _fastest(compute: Callable[[Tensor], object], x: Tensor, repeats: int) -> float:
    compute(x)
    times = []
    for _ in range(ROUNDS):
        started = time.process_time()
        for _ in range(repeats):
            compute(x)
        times.append((time.process_time() - started) / repeats)
    return min(times)

"""Memory of tensors on the CPU: new tensors with less overhead than ``paddle.empty``, and rows without copies."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

import numpy as np
import paddle
from paddle import Tensor, _C_ops

_CPU = paddle.CPUPlace()


def empty_on_cpu(shape: Sequence[int], dtype: paddle.dtype) -> Tensor:
    """Return an uninitialized tensor on the CPU.

    ``paddle.empty`` spends 7 of its 10 microseconds on checking and converting its arguments; a training step of a
    small network calls it several hundred times.
    """
    found: Tensor = _C_ops.empty(list(shape), dtype, _CPU)
    return found


def rows_of(table: Tensor, numbers: np.ndarray) -> np.ndarray:
    """Return a copy of the rows `numbers` [U] of a float32 tensor [V, D]: [U, D].

    ``Tensor.numpy`` would copy the whole table.
    """
    if not table.place.is_cpu_place():
        return np.asarray(paddle.gather(table.detach(), paddle.to_tensor(numbers)).numpy())
    return _view(table)[numbers]


def set_rows(table: Tensor, numbers: np.ndarray, values: np.ndarray) -> None:
    """Set the rows `numbers` [U], all different, of a float32 tensor [V, D] to `values` [U, D], in its memory."""
    if not table.place.is_cpu_place():
        with paddle.no_grad():
            paddle.scatter_(table, paddle.to_tensor(numbers), paddle.to_tensor(values))
        return
    _view(table)[numbers] = values


def _view(table: Tensor) -> np.ndarray:
    """Return a writable view of the memory of a contiguous float32 tensor on the CPU, valid while it exists.

    The view of ``numpy.from_dlpack`` cannot be written to.
    """
    if table.dtype != paddle.float32 or not table.is_contiguous():
        raise TypeError(f"needs a contiguous float32 tensor, got {table.dtype} {table.shape}")
    memory = (ctypes.c_float * table.size).from_address(table.data_ptr())
    return np.frombuffer(memory, dtype=np.float32).reshape(table.shape)

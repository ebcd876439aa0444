"""The context that turns fast layers on, its numeric type, and the reason if they stay off."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import paddle
from paddle import Tensor

from paddle_automl.core.errors import UnsupportedError
from paddle_automl.models.kernels.library import library, processor_flags

logger = logging.getLogger(__name__)

DTYPES = {"float32": paddle.float32, "bfloat16": paddle.bfloat16}
_BF16_FLAGS = {"avx512_bf16", "amx_bf16"}
_F32_FLAGS = {"avx2", "fma"}


class _Mode(threading.local):
    """The type in which the networks of a thread compute now; None: Paddle's own operators."""

    dtype: paddle.dtype | None = None


_mode = _Mode()
_said: set[str] = set()
_said_lock = threading.Lock()


def unsupported(dtype: str = "float32") -> str:
    """Return the reason why this process cannot compute in `dtype`; empty if it can."""
    if dtype not in DTYPES:
        return f"there is no fast path for {dtype}, only for {' and '.join(DTYPES)}"
    try:
        library()
    except UnsupportedError as reason:
        return str(reason)
    flags = processor_flags()
    # Without AVX2 oneDNN is slower than Paddle.
    if not flags >= _F32_FLAGS:
        return "the processor has no AVX2"
    if dtype == "bfloat16" and not flags & _BF16_FLAGS:
        return "the processor has no bfloat16 instructions (avx512_bf16 or amx_bf16)"
    return ""


@contextmanager
def use(dtype: str | None = "float32") -> Iterator[str | None]:
    """Make the fast layers of this thread compute in `dtype` inside the context.

    ``float32`` or ``bfloat16``: feature maps and their gradients have that type, weights stay float32. Yields the
    type that is used: float32 if bfloat16 is not available, and None (Paddle's own operators) if neither is, or if
    `dtype` is None. Only forward passes need the context; backward passes follow.
    """
    for name in (dtype, "float32") if dtype is not None else ():
        reason = unsupported(name)
        if not reason:
            break
        explain(f"fast CPU layers in {name}", reason)
    else:
        name = None
    before = _mode.dtype
    _mode.dtype = None if name is None else DTYPES[name]
    try:
        yield name
    finally:
        _mode.dtype = before


def active() -> paddle.dtype | None:
    """Return the type in which this thread's fast layers compute, or None for Paddle's own operators.

    A network that is being traced always uses Paddle's operators.
    """
    return _mode.dtype if paddle.in_dynamic_mode() else None


def takes(x: Tensor) -> bool:
    """Return whether fast layers may compute with `x` now: inside `use`, not traced, floating-point, on the CPU."""
    if active() is None or not isinstance(x, Tensor):
        return False
    if x.dtype != paddle.float32 and x.dtype != paddle.bfloat16:
        return False
    return x.place.is_cpu_place() and 0 not in x.shape


def explain(what: str, reason: object) -> None:
    """Log, once per process, that `what` is left to Paddle because of `reason`."""
    text = f"{what}: {reason}; Paddle's own operators are used"
    with _said_lock:
        if text in _said:
            return
        _said.add(text)
    logger.info("%s", text)

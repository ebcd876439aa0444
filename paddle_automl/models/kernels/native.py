"""Operations in our own C code, for processors with AVX-512.

They are GELU, batch normalization with GELU, and the gradient of the kernels of 3 x 3 convolutions.

``_native.c`` is compiled when the package is installed, if there is a C compiler that knows AVX-512 with bfloat16,
such as GCC 10. Without it, on other processors, with ``PADDLE_AUTOML_NATIVE=0``, and where its results differ from
NumPy's, oneDNN computes the same one by one.
"""

from __future__ import annotations

import ctypes
import logging
import os
import threading
from contextlib import suppress
from ctypes import c_float, c_int, c_long, c_void_p
from functools import lru_cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import numpy as np
import paddle
from paddle import Tensor

from paddle_automl.core.errors import UnsupportedError
from paddle_automl.models.kernels.library import folder, processor_flags
from paddle_automl.models.kernels.memory import count
from paddle_automl.paddle_compat.memory import empty_on_cpu

logger = logging.getLogger(__name__)

DISABLED_BY = "PADDLE_AUTOML_NATIVE"
"""Environment variable; with ``0`` oneDNN computes everything."""
INTERFACE = 4
"""What `paddle_automl_native` of a compiled file must return."""
_FLAGS = {"avx512f", "avx512bw", "avx512vl", "avx512dq", "fma"}
_SIGNATURES: dict[str, list[Any]] = {
    "gelu_forward": [c_int, c_long, c_void_p, c_void_p],
    "gelu_backward": [c_int, c_long, c_void_p, c_void_p, c_void_p],
    "gelu_bias": [c_int, c_long, c_long, c_void_p, c_void_p, c_void_p],
    "norm_forward": [c_int, c_long, c_long, *[c_void_p] * 7, c_float, c_float],
    "norm_backward": [c_int, c_long, c_long, *[c_void_p] * 8],
    "filter_gradient": [*[c_long] * 5, c_void_p, c_void_p, c_void_p],
}
_TOLERANCES = {paddle.float32: 2e-6, paddle.bfloat16: 6e-3}
"""Largest error in the self-test, relative to the largest value."""

_results: dict[paddle.dtype, bool] = {}
_lock = threading.Lock()


def available(dtype: paddle.dtype) -> bool:
    """Return whether the compiled operations can be used for feature maps of `dtype` in this process."""
    found = _results.get(dtype)
    if found is None:
        with _lock:
            found = _results.get(dtype)
            if found is None:
                found = _results[dtype] = _check(dtype)
    return found


@lru_cache(maxsize=1)
def _library() -> ctypes.CDLL:
    """Return the compiled file; raises UnsupportedError with the reason if it cannot be used."""
    if os.environ.get(DISABLED_BY, "1") == "0":
        raise UnsupportedError(f"{DISABLED_BY}=0 is set")
    if not processor_flags() >= _FLAGS:
        raise UnsupportedError("the processor has no AVX-512")
    # A folder that several Pythons installed has a file of each, of which some may be old.
    files = (Path(__file__).with_name(f"_native{suffix}") for suffix in EXTENSION_SUFFIXES)
    file = next((file for file in files if file.is_file()), None)
    if file is None:
        raise UnsupportedError("it was installed without a C compiler, or with one that is older than GCC 10")
    # The threads of Intel's OpenMP, which oneDNN and MKL use here: two sets of threads would wait for each other.
    with suppress(OSError):
        ctypes.CDLL(str(folder() / "libiomp5.so"), mode=os.RTLD_NOLOAD | os.RTLD_GLOBAL | os.RTLD_LAZY)
    try:
        found = ctypes.CDLL(str(file))
        version = found.paddle_automl_native()
    except (OSError, AttributeError) as error:
        raise UnsupportedError(f"{file.name} cannot be loaded: {error}") from None
    if version != INTERFACE:
        raise UnsupportedError(f"{file.name} is of another version; install the package again")
    for name, arguments in _SIGNATURES.items():
        getattr(found, name).argtypes = arguments
    return found


def call(name: str, *arguments: Any) -> None:
    """Call a function of the compiled file; raises MemoryError if it found no memory."""
    if getattr(_library(), name)(*arguments):
        raise MemoryError(f"no memory for {name}")


def _check(dtype: paddle.dtype) -> bool:
    """Compare with NumPy on some thousand numbers, of an unusual number of channels."""
    try:
        if dtype == paddle.bfloat16 and "avx512_bf16" not in processor_flags():
            raise UnsupportedError("the processor has no bfloat16 instructions (avx512_bf16)")
        _library()
        error = max(_errors(dtype))
        if not error <= _TOLERANCES[dtype]:
            raise UnsupportedError(f"the self-test in {dtype} finds an error of {error:.1e}")
    except UnsupportedError as reason:
        logger.info(
            "compiled GELU, batch normalization with GELU, and gradient of 3 x 3 kernels: %s; oneDNN computes them",
            reason,
        )
        return False
    return True


def _errors(dtype: paddle.dtype) -> list[float]:
    """Return the errors of all operations, relative to the largest value."""
    rows, channels = 171, 24  # as many whole blocks as are processed at once, and a rest
    n = rows * channels
    values = ((np.arange(2 * n, dtype=np.int64) * 7919 + 12345) % 127 - 63).astype(np.float32) / 16
    x, dy = values.reshape(2, rows, channels)
    scale, shift = values[:channels] / 4 + 1, values[channels : 2 * channels] / 4
    mean, variance = x.mean(0), x.var(0)
    inverse = 1 / np.sqrt(variance + 1e-3)
    centred = (x - mean) * inverse
    z = centred * scale + shift
    xt, dyt = (paddle.to_tensor(v, place=paddle.CPUPlace()).astype(dtype) for v in (x, dy))
    st, bt = (paddle.to_tensor(v, place=paddle.CPUPlace()) for v in (scale, shift))
    found = [gelu(xt), gelu_gradient(xt, dyt), gelu_bias_gradient(xt, dyt)]
    expected = [_gelu(x), _slope(x) * dy, (_slope(x) * dy).sum(0)]
    running = paddle.zeros([channels]), paddle.ones([channels])
    yt, batch = normalize_gelu(xt, st, bt, running, momentum=0.75, epsilon=1e-3)
    found += [yt, *running, *normalize_gelu_gradient(xt, dyt, st, bt, batch)]
    g = _slope(z) * dy
    dscale, dshift = (g * centred).sum(0), g.sum(0)
    dx = scale * inverse * (g - (dshift + centred * dscale) / rows)
    expected += [_gelu(z), mean / 4, 0.75 + variance / 4, dx, dscale, dshift]
    if dtype == paddle.bfloat16:
        for out in (16, 32):  # by one and by two vectors of outputs
            maps = [v.reshape(-1)[: 18 * c].reshape(2, 3, 3, c) for v, c in ((x, 16), (dy, out))]
            expected.append(_filter(*maps))
            tensors = (paddle.to_tensor(v, place=paddle.CPUPlace()).astype(dtype) for v in maps)
            found.append(filter_gradient(*tensors))
    got = [t.astype("float32").numpy() for t in found]
    return [float(np.abs(a - b).max() / np.abs(b).max()) for a, b in zip(got, expected, strict=True)]


def _gelu(x: np.ndarray) -> np.ndarray:
    return x / (1 + np.exp(-np.sqrt(8 / np.pi) * (x + 0.044715 * x**3)))


def _slope(x: np.ndarray) -> np.ndarray:
    gate = 1 / (1 + np.exp(-np.sqrt(8 / np.pi) * (x + 0.044715 * x**3)))
    return gate + x * gate * (1 - gate) * np.sqrt(8 / np.pi) * (1 + 0.134145 * x**2)


def _filter(x: np.ndarray, dy: np.ndarray) -> np.ndarray:
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    height, width = x.shape[1:3]
    taps = [
        np.einsum("nhwi,nhwo->oi", padded[:, i : i + height, j : j + width], dy) for i in range(3) for j in range(3)
    ]
    return np.stack(taps, -1).reshape(dy.shape[-1], x.shape[-1], 3, 3)


def _number(x: Tensor) -> int:
    return int(x.dtype == paddle.bfloat16)


def gelu(x: Tensor) -> Tensor:
    """Return the tanh form of GELU of contiguous `x`."""
    y = empty_on_cpu(x.shape, x.dtype)
    call("gelu_forward", _number(x), count(x), x.data_ptr(), y.data_ptr())
    return y


def gelu_gradient(x: Tensor, dy: Tensor) -> Tensor:
    """Return the gradient of `x` from that of `gelu`, both contiguous and of the same type."""
    dx = empty_on_cpu(x.shape, x.dtype)
    call("gelu_backward", _number(x), count(x), x.data_ptr(), dy.data_ptr(), dx.data_ptr())
    return dx


def gelu_bias_gradient(x: Tensor, dy: Tensor) -> Tensor:
    """Return the sum of `gelu_gradient` over all axes but the last one, float32 [C], without storing its terms."""
    channels = x.shape[-1]
    dbias = empty_on_cpu([channels], paddle.float32)
    rows = count(x) // channels
    call("gelu_bias", _number(x), rows, channels, x.data_ptr(), dy.data_ptr(), dbias.data_ptr())
    return dbias


def normalize_gelu(
    x: Tensor, scale: Tensor, shift: Tensor, running: tuple[Tensor, Tensor], *, momentum: float, epsilon: float
) -> tuple[Tensor, Tensor]:
    """Return the GELU of `x` [..., C] normalized by its own statistics, and what its gradient needs.

    `running` mean and (biased) variance [C] are updated in place and keep `momentum` of their values.
    """
    channels = x.shape[-1]
    y, batch = empty_on_cpu(x.shape, x.dtype), empty_on_cpu([2, channels], paddle.float32)
    addresses = (t.data_ptr() for t in (x, y, batch, scale, shift, *running))
    call("norm_forward", _number(x), count(x) // channels, channels, *addresses, momentum, epsilon)
    return y, batch


def normalize_gelu_gradient(
    x: Tensor, dy: Tensor, scale: Tensor, shift: Tensor, batch: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of `x`, scale and shift; `batch` is what `normalize_gelu` returned."""
    channels = x.shape[-1]
    dx = empty_on_cpu(x.shape, x.dtype)
    dscale, dshift = empty_on_cpu([channels], paddle.float32), empty_on_cpu([channels], paddle.float32)
    addresses = (t.data_ptr() for t in (x, dy, dx, batch, scale, shift, dscale, dshift))
    call("norm_backward", _number(x), count(x) // channels, channels, *addresses)
    return dx, dscale, dshift


def filter_gradient(x: Tensor, dy: Tensor) -> Tensor:
    """Return the gradient of the kernels [O, C, 3, 3], float32, of a convolution with stride and padding 1.

    `x` [N, H, W, C] and the gradient of the result `dy` [N, H, W, O] are bfloat16; C and O are multiples of 16.
    """
    images, height, width, channels = x.shape
    out = dy.shape[-1]
    result = empty_on_cpu([out, channels, 3, 3], paddle.float32)
    call(
        "filter_gradient", images, height, width, channels, out, x.data_ptr(), dy.data_ptr(), result.data_ptr()
    )  # fmt: skip
    return result

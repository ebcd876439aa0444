"""Numeric check of each kind of operation against NumPy, before a network relies on it.

It runs once per process for each kind and type, on arrays of a few hundred numbers with small odd sizes. An
operation that fails is left to Paddle for the rest of the process.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import paddle
from paddle import Tensor

from paddle_automl.core.errors import UnsupportedError
from paddle_automl.models.kernels import elementwise, joining
from paddle_automl.models.kernels.convolution import Geometry, convolution
from paddle_automl.models.kernels.linear import linear
from paddle_automl.models.kernels.memory import channels_last, logical, plain
from paddle_automl.models.kernels.mode import explain
from paddle_automl.models.kernels.normalization import Statistics, batch_norm
from paddle_automl.models.kernels.pooling import Window, pool
from paddle_automl.models.kernels.rounding import round_to

Array = np.ndarray[Any, Any]
TOLERANCES = {paddle.float32: 1e-4, paddle.bfloat16: 3e-2}
"""Largest allowed error, relative to the largest value of the result."""

_results: dict[tuple[str, paddle.dtype], bool] = {}
_lock = threading.RLock()


def passed(kind: str, dtype: paddle.dtype) -> bool:
    """Return whether operations of `kind`, a key of `TESTS`, are correct in `dtype` in this process."""
    found = _results.get((kind, dtype))
    if found is None:
        with _lock:
            found = _results.get((kind, dtype))
            if found is None:
                found = _results[kind, dtype] = _try(kind, dtype)
    return found


def _try(kind: str, dtype: paddle.dtype) -> bool:
    try:
        # The first use may be an evaluation without gradients.
        with paddle.enable_grad():
            checks = TESTS[kind](dtype)
        for what, found, expected in checks:
            error = float(np.abs(found - expected).max() / np.abs(expected).max())
            if not error <= TOLERANCES[dtype]:
                raise UnsupportedError(f"the self-test in {dtype} finds an error of {error:.1e} in {what}")
    except Exception as reason:  # noqa: BLE001  no failure here may end a training
        explain(kind, reason)
        return False
    return True


Check = list[tuple[str, Array, Array]]


def _values(*shape: int) -> Array:
    """Return numbers in -1..1 that look irregular but need no generator; exact in bfloat16."""
    n = int(np.prod(shape))
    whole = (np.arange(n, dtype=np.int64) * 7919 + 12345) % 127 - 63
    return (whole / np.float32(64)).astype(np.float32).reshape(shape)


def _leaf(array: Array) -> Tensor:
    return paddle.to_tensor(array, place=paddle.CPUPlace(), stop_gradient=False)


def _gradients(y: Tensor, dy: Array, *of: Tensor) -> list[Array]:
    total = (plain(y) * paddle.to_tensor(dy, place=paddle.CPUPlace())).sum()
    return [g.numpy() for g in paddle.grad(total, list(of))]


def _convolution(dtype: paddle.dtype) -> Check:
    checks = []
    for groups in (1, 4):
        x, w, b = _values(2, 4, 6, 5), _values(8, 4 // groups, 3, 3), _values(8)
        geometry = Geometry((2, 1), ((1, 1), (2, 1)), (1, 2))
        rows, columns = geometry.size((6, 5), (3, 3))
        dy = _values(2, 8, rows, columns)
        padded = np.pad(x, ((0, 0), (0, 0), *geometry.padding))
        y, dw, dx = np.zeros_like(dy), np.zeros_like(w), np.zeros_like(padded)
        y += b[:, None, None]
        for out in range(8):
            first = out // (8 // groups) * (4 // groups)
            own = slice(first, first + 4 // groups)
            for i in range(3):
                for j in range(3):
                    place = (slice(i, i + 2 * rows, 2), slice(2 * j, 2 * j + columns))
                    seen = padded[:, own, place[0], place[1]][:, :, :rows]
                    y[:, out] += np.einsum("nchw,c->nhw", seen, w[out, :, i, j])
                    dw[out, :, i, j] = np.einsum("nchw,nhw->c", seen, dy[:, out])
                    dx[:, own, place[0], place[1]] += dy[:, out, None] * w[out, :, i, j][None, :, None, None]
        xt, wt, bt = _leaf(x), _leaf(w), _leaf(b)
        found = convolution(xt, wt, bt, geometry, dtype)
        got = [plain(found).numpy(), *_gradients(found, dy, xt, wt, bt)]
        dx = dx[:, :, 1:-1, 2:-1]
        names = ("the result", "the gradient of the input", "that of the weights", "that of the bias")
        checks += list(zip(names, got, (y, dx, dw, dy.sum((0, 2, 3))), strict=True))
    return checks


def _linear(dtype: paddle.dtype) -> Check:
    x, w, b, dy = _values(5, 7), _values(7, 3), _values(3), _values(5, 3)
    xt, wt, bt = _leaf(x), _leaf(w), _leaf(b)
    found = linear(xt.astype(dtype), wt, bt)
    got = [plain(found).numpy(), *_gradients(found, dy, xt, wt, bt)]
    names = ("the result", "the gradient of the input", "that of the weights", "that of the bias")
    return list(zip(names, got, (x @ w + b, dy @ w.T, x.T @ dy, dy.sum(0)), strict=True))


def _batch_norm(dtype: paddle.dtype) -> Check:
    checks = []
    for width, relu in ((16, False), (16, True), (12, True)):
        x, scale, shift, dy = _values(3, width, 2, 3), _values(width) + 2, _values(width), _values(3, width, 2, 3)
        mean, variance = x.mean((0, 2, 3)), x.var((0, 2, 3))
        wide = (None, slice(None), None, None)
        inverse = 1 / np.sqrt(variance + 1e-3)
        centred = (x - mean[wide]) * inverse[wide]
        y = centred * scale[wide] + shift[wide]
        d = dy * (y > 0) if relu else dy
        dscale, dshift = (d * centred).sum((0, 2, 3)), d.sum((0, 2, 3))
        dx = (scale * inverse)[wide] * (d - (dshift[wide] + centred * dscale[wide]) / 18)
        xt, st, bt = _leaf(x), _leaf(scale), _leaf(shift)
        running = paddle.zeros([width], "float32"), paddle.ones([width], "float32")
        given = Statistics(st, bt, *running, 0.75, 1e-3)
        found = batch_norm(xt, given, training=True, relu=relu, compute=dtype)
        got = [plain(found).numpy(), *_gradients(found, dy, xt, st, bt), *(r.numpy() for r in running)]
        expected = (np.maximum(y, 0) if relu else y, dx, dscale, dshift, mean / 4, 0.75 + variance / 4)
        names = ("the result", "dx", "the gradient of the scale", "that of the shift", "the mean", "the variance")
        checks += list(zip(names, got, expected, strict=True))
    return checks


def _pooling(dtype: paddle.dtype) -> Check:
    checks: Check = []
    x, dy = _values(2, 3, 5, 5), _values(2, 3, 3, 3)
    window = Window((3, 3), (2, 2), (1, 1))
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    present = np.isfinite(padded)
    largest, mean = np.zeros_like(dy), np.zeros_like(dy)
    dmax, dmean = np.zeros_like(padded), np.zeros_like(padded)
    for i in range(3):
        for j in range(3):
            part = (slice(None), slice(None), slice(2 * i, 2 * i + 3), slice(2 * j, 2 * j + 3))
            seen, there = padded[part], present[part]
            largest[:, :, i, j] = seen.max((2, 3))
            count = there.sum((2, 3))
            mean[:, :, i, j] = np.where(there, seen, 0).sum((2, 3)) / count
            flat = seen.reshape(2, 3, 9)
            first = (np.arange(9) == flat.argmax(-1)[..., None]).reshape(2, 3, 3, 3)
            dmax[part] += first * dy[:, :, i, j, None, None]
            dmean[part] += there * (dy[:, :, i, j] / count)[..., None, None]
    for kind, y, dx in (("max", largest, dmax), ("mean", mean, dmean)):
        xt = _leaf(x)
        found = pool(xt, window, kind, dtype)  # type: ignore[arg-type]
        got = [plain(found).numpy(), *_gradients(found, dy, xt)]
        checks += list(zip((kind, f"the gradient of {kind}"), got, (y, dx[:, :, 1:-1, 1:-1]), strict=True))
    return checks


def _activation(dtype: paddle.dtype) -> Check:
    checks: Check = []
    x, dy = 4 * _values(2, 3, 4, 5) + np.float32(1 / 64), _values(2, 3, 4, 5)
    s = 1 / (1 + np.exp(-x))
    known = (
        ("relu", elementwise.RELU, np.maximum(x, 0), x > 0),
        ("relu6", elementwise.RELU6, np.clip(x, 0, 6), (x > 0) & (x < 6)),
        ("tanh", elementwise.TANH, np.tanh(x), 1 - np.tanh(x) ** 2),
        ("sigmoid", elementwise.SIGMOID, s, s * (1 - s)),
        ("silu", elementwise.SILU, x * s, s + x * s * (1 - s)),
        ("leaky_relu", elementwise.leaky_relu(0.1), np.where(x > 0, x, x / 10), np.where(x > 0, 1, 0.1)),
        ("elu", elementwise.elu(1.0), np.where(x > 0, x, np.exp(x) - 1), np.where(x > 0, 1, np.exp(x))),
    )
    for name, function, y, slope in known:
        xt = _leaf(x)
        found = elementwise.activate(xt, function, dtype)
        got = [plain(found).numpy(), *_gradients(found, dy, xt)]
        checks += list(zip((name, f"the gradient of {name}"), got, (y, dy * slope), strict=True))
    if dtype == paddle.float32:
        rounded = round_to(paddle.to_tensor(x, place=paddle.CPUPlace()), 0.03, -128, 127, dtype)
        expected = np.clip(np.rint(x / np.float32(0.03)), -128, 127) * 0.03
        checks.append(("rounding", plain(rounded).numpy(), expected))
    return checks


def _joining(dtype: paddle.dtype) -> Check:
    a, b, c = _values(2, 3, 4, 5), _values(2, 3, 4, 5)[::-1].copy(), _values(2, 6, 4, 5)
    dy, dz = _values(2, 3, 4, 5), _values(2, 9, 4, 5)
    at, bt, ct = _leaf(a), _leaf(b), _leaf(c)
    found = joining.add(at, bt, dtype, relu=True)
    joined = joining.concat([at, ct], dtype)
    total = joining.add(at, bt, dtype)
    positive = dy * (a + b > 0)
    memory = channels_last(at, dtype)
    one, two = joining.fork(logical(memory), 2, dtype)
    return [
        ("the sum", plain(total).numpy(), a + b),
        ("the positive sum", plain(found).numpy(), np.maximum(a + b, 0)),
        *zip(("its gradient", "its gradient"), _gradients(found, dy, at, bt), (positive, positive), strict=True),
        ("the concatenation", plain(joined).numpy(), np.concatenate([a, c], 1)),
        *zip(("its gradient", "its gradient"), _gradients(joined, dz, at, ct), (dz[:, :3], dz[:, 3:]), strict=True),
        ("a fork", _gradients(joining.add(one, two, dtype), dy, at)[0], 2 * dy),
    ]


TESTS: dict[str, Callable[[paddle.dtype], Check]] = {
    "convolution": _convolution,
    "linear": _linear,
    "batch_norm": _batch_norm,
    "pooling": _pooling,
    "activation": _activation,
    "joining": _joining,
}
"""The check of each kind of operation: names of results, the library's values, NumPy's values."""

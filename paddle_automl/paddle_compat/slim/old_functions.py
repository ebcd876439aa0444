"""Functions that Paddle 3.2 and 3.3 no longer offer for variables of old graphs, written as operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Function = Callable[..., Any]


def _append(kind: str, inputs: dict[str, Any], attrs: dict[str, Any] | None = None, dtype: Any = None) -> Any:
    from paddle.base.layer_helper import LayerHelper

    helper = LayerHelper(kind)
    out = helper.create_variable_for_type_inference(dtype or next(iter(inputs.values())).dtype)
    helper.append_op(type=kind, inputs=inputs, outputs={"Out": out}, attrs=attrs or {})
    return out


def _axes(x: Any, axis: Any) -> tuple[list[int], bool]:
    axes = list(axis) if isinstance(axis, list | tuple) else [] if axis is None else [axis]
    return axes or [0], not axes or len(axes) == len(x.shape)


def _unary(kind: str, dtype: Any = None) -> Function:
    def call(x: Any, name: Any = None) -> Any:
        return _append(kind, {"X": x}, dtype=dtype)

    return call


def _binary(kind: str, dtype: Any = None) -> Function:
    def call(x: Any, y: Any, name: Any = None) -> Any:
        return _append(kind, {"X": x, "Y": y}, {"axis": -1}, dtype)

    return call


def _reduce(kind: str, result: Any = None) -> Function:
    def call(x: Any, axis: Any = None, dtype: Any = None, keepdim: bool = False, name: Any = None) -> Any:
        # amax, amin, all and any have no dtype: their third argument is keepdim.
        keep = dtype if isinstance(dtype, bool) else keepdim
        dims, whole = _axes(x, axis)
        return _append(kind, {"X": x}, {"dim": dims, "keep_dim": keep, "reduce_all": whole}, result)

    return call


def _arg(kind: str) -> Function:
    def call(x: Any, axis: Any = None, keepdim: bool = False, dtype: Any = "int64", name: Any = None) -> Any:
        from paddle.base.framework import convert_np_dtype_to_dtype_

        attrs = {"axis": axis or 0, "keepdims": keepdim, "flatten": axis is None}
        return _append(kind, {"X": x}, {**attrs, "dtype": convert_np_dtype_to_dtype_(dtype)}, dtype)

    return call


def _matmul(x: Any, y: Any, transpose_x: bool = False, transpose_y: bool = False, name: Any = None) -> Any:
    return _append("matmul_v2", {"X": x, "Y": y}, {"trans_x": transpose_x, "trans_y": transpose_y})


def _bmm(x: Any, y: Any, name: Any = None) -> Any:
    return _append("bmm", {"X": x, "Y": y})


def _gelu(x: Any, approximate: Any = False, name: Any = None) -> Any:
    return _append("gelu", {"X": x}, {"approximate": bool(approximate)})


def _softplus(x: Any, beta: float = 1, threshold: float = 20, name: Any = None) -> Any:
    return _append("softplus", {"X": x}, {"beta": float(beta), "threshold": float(threshold)})


def _logsumexp(x: Any, axis: Any = None, keepdim: bool = False, name: Any = None) -> Any:
    dims, whole = _axes(x, axis)
    return _append("logsumexp", {"X": x}, {"axis": dims, "keepdim": keepdim, "reduce_all": whole})


_SAME_NAME = (
    *("abs", "acos", "acosh", "asin", "atanh", "ceil", "cos", "cosh", "exp", "expm1", "floor", "log", "log10"),
    *("log1p", "log2", "round", "rsqrt", "sigmoid", "sign", "sin", "sinh", "sqrt", "tanh"),
)

FALLBACKS: dict[str, Function] = {
    **{name: _unary(name) for name in _SAME_NAME},
    "matmul": _matmul,
    "bmm": _bmm,
    "gelu": _gelu,
    "softplus": _softplus,
    "logsumexp": _logsumexp,
    "sum": _reduce("reduce_sum"),
    "amax": _reduce("reduce_amax"),
    "amin": _reduce("reduce_amin"),
    "all": _reduce("reduce_all", "bool"),
    "any": _reduce("reduce_any", "bool"),
    "maximum": _binary("elementwise_max"),
    "minimum": _binary("elementwise_min"),
    "greater_than": _binary("greater_than", "bool"),
    "logical_and": _binary("logical_and", "bool"),
    "logical_or": _binary("logical_or", "bool"),
    "logical_not": _unary("logical_not", "bool"),
    "isnan": _unary("isnan_v2", "bool"),
    "isinf": _unary("isinf_v2", "bool"),
    "isfinite": _unary("isfinite_v2", "bool"),
    "argmax": _arg("arg_max"),
    "argmin": _arg("arg_min"),
}
"""The functions by their name in Paddle."""

"""Binding of the oneDNN library that the Paddle wheel ships (``paddle/libs/libdnnl.so.3``).

Only the C API of oneDNN 3.x is used, through ctypes: no compiler, no change to Paddle. Names and numbers below are
those of ``oneapi/dnnl/dnnl.h`` and ``dnnl_types.h`` (the same since 3.0; the self-test would detect a change).
ctypes releases the interpreter lock during each call.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
import threading
from ctypes import POINTER, Structure, byref, c_char_p, c_float, c_int, c_int64, c_size_t, c_uint, c_void_p
from functools import lru_cache
from pathlib import Path
from typing import Any

import paddle

from paddle_automl.core.errors import UnsupportedError

DISABLED_BY = "PADDLE_AUTOML_KERNELS"
"""Environment variable; with ``0`` every network uses Paddle's own operators."""
MAJOR_VERSION = 3
MAX_RANK = 12
"""Length of every array of dimensions (DNNL_MAX_NDIMS)."""

# dnnl_data_type_t
BF16, F32, U8 = 2, 3, 6
# dnnl_prop_kind_t
FORWARD_TRAINING, FORWARD_INFERENCE, BACKWARD = 64, 96, 128
# dnnl_alg_kind_t, by the names that dnnl_alg_kind2str gives them
ALGORITHMS = {
    "convolution_direct": 1, "eltwise_relu": 32, "eltwise_tanh": 33, "eltwise_elu": 34, "eltwise_linear": 38,
    "eltwise_hardsigmoid": 40, "eltwise_logistic": 41, "eltwise_gelu_tanh": 43, "eltwise_swish": 44,
    "eltwise_clip": 46, "eltwise_gelu_erf": 49, "eltwise_round": 50, "eltwise_mish": 51, "eltwise_hardswish": 52,
    "eltwise_relu_use_dst_for_bwd": 256, "eltwise_clip_v2_use_dst_for_bwd": 262, "pooling_max": 511,
    "pooling_avg_include_padding": 767, "pooling_avg_exclude_padding": 1023, "binary_add": 131056,
    "binary_mul": 131057,
}  # fmt: skip
# dnnl_normalization_flags_t
USE_GLOBAL_STATISTICS, USE_SCALE, USE_SHIFT, FUSE_RELU = 1, 2, 4, 8
# Arguments of dnnl_primitive_execute
ARGUMENTS = {
    "src": 1, "src0": 1, "src1": 2, "dst": 17, "weights": 33, "bias": 41, "mean": 49, "variance": 50,
    "scale": 51, "shift": 52, "workspace": 64, "diff_src": 129, "diff_dst": 145, "diff_weights": 161,
    "diff_bias": 169, "diff_scale": 255, "diff_shift": 256,
    "term0": 1024, "term1": 1025, "term2": 1026, "term3": 1027,
}  # fmt: skip
# dnnl_query_t of the memory descriptors of a primitive descriptor
QUERIES = {"src": 129, "diff_src": 130, "weights": 131, "diff_weights": 132, "dst": 133, "diff_dst": 134,
           "workspace": 135}  # fmt: skip

Dims = c_int64 * MAX_RANK


class Argument(Structure):
    """dnnl_exec_arg_t."""

    _fields_ = (("index", c_int), ("memory", c_void_p))


class Library:
    """The loaded library with its engine (CPU 0) and stream; raises UnsupportedError if it does not fit."""

    def __init__(self) -> None:
        path = folder() / "libdnnl.so.3"
        if not (sys.platform.startswith("linux") and platform.machine() == "x86_64"):
            raise UnsupportedError(f"{sys.platform} on {platform.machine()} is not Linux on x86-64")
        if not path.exists():
            raise UnsupportedError(f"this Paddle has no {path.name} in {path.parent}")
        try:
            self.dll = ctypes.CDLL(str(path))
        except OSError as error:
            raise UnsupportedError(f"{path} cannot be loaded: {error}") from None
        self.version = self._read_version()
        if self.version[0] != MAJOR_VERSION:
            raise UnsupportedError(f"oneDNN {'.'.join(map(str, self.version))} is not version {MAJOR_VERSION}")
        self._declare()
        self._check_numbers()
        self.engine = self.create("engine_create", 1, 0)
        self.stream = self.create("stream_create", self.engine, 1)

    def create(self, function: str, *arguments: Any) -> c_void_p:
        """Return the object that ``dnnl_<function>`` writes to its first argument."""
        result = c_void_p()
        self.check(getattr(self.dll, f"dnnl_{function}")(byref(result), *arguments), function)
        return result

    def check(self, status: int, what: str) -> None:
        """Raise UnsupportedError unless `status` is dnnl_success."""
        if status:
            raise UnsupportedError(f"oneDNN returns status {status} for {what}")

    def _read_version(self) -> tuple[int, int, int]:
        class Version(Structure):
            _fields_ = (("major", c_int), ("minor", c_int), ("patch", c_int))

        try:
            function = self.dll.dnnl_version
        except AttributeError:
            raise UnsupportedError("the library has no function dnnl_version") from None
        function.restype = POINTER(Version)
        found = function().contents
        return found.major, found.minor, found.patch

    def _check_numbers(self) -> None:
        """Compare the algorithm numbers used here with the library's names; they have changed between versions."""
        for name, number in ALGORITHMS.items():
            found = self.dll.dnnl_alg_kind2str(number).decode("ascii", "replace")
            if found != name:
                raise UnsupportedError(f"algorithm {number} is '{found}' in this oneDNN, not '{name}'")

    def _declare(self) -> None:
        """Declare the types for ctypes, which would otherwise truncate pointers to 32 bits."""
        v, vp, i, dims, array = c_void_p, POINTER(c_void_p), c_int, POINTER(c_int64), POINTER(Argument)
        spatial = [dims, dims, dims, dims]
        signatures: dict[str, list[Any]] = {
            "engine_create": [vp, i, c_size_t],
            "stream_create": [vp, v, c_uint],
            "memory_desc_create_with_strides": [vp, i, dims, i, dims],
            "memory_desc_create_with_tag": [vp, i, dims, i, i],
            "memory_desc_destroy": [v],
            "memory_desc_equal": [v, v],
            "memory_desc_get_size": [v],
            "memory_create": [vp, v, v, v],
            "memory_destroy": [v],
            "memory_set_data_handle": [v, v],
            "primitive_create": [vp, v],
            "primitive_destroy": [v],
            "primitive_desc_destroy": [v],
            "primitive_desc_query_md": [v, i, i],
            "primitive_execute": [v, v, i, array],
            "primitive_attr_create": [vp],
            "primitive_attr_destroy": [v],
            "primitive_attr_set_post_ops": [v, v],
            "post_ops_create": [vp],
            "post_ops_destroy": [v],
            "post_ops_append_eltwise": [v, i, c_float, c_float],
            "reorder_primitive_desc_create": [vp, v, v, v, v, v],
            "binary_primitive_desc_create": [vp, v, i, v, v, v, v],
            "sum_primitive_desc_create": [vp, v, v, i, POINTER(c_float), vp, v],
            "alg_kind2str": [i],
            "convolution_forward_primitive_desc_create": [vp, v, i, i, v, v, v, v, *spatial, v],
            "convolution_backward_data_primitive_desc_create": [vp, v, i, v, v, v, *spatial, v, v],
            "convolution_backward_weights_primitive_desc_create": [vp, v, i, v, v, v, v, *spatial, v, v],
            "inner_product_forward_primitive_desc_create": [vp, v, i, v, v, v, v, v],
            "inner_product_backward_data_primitive_desc_create": [vp, v, v, v, v, v, v],
            "inner_product_backward_weights_primitive_desc_create": [vp, v, v, v, v, v, v, v],
            "batch_normalization_forward_primitive_desc_create": [vp, v, i, v, v, c_float, c_uint, v],
            "batch_normalization_backward_primitive_desc_create": [vp, v, i, v, v, v, c_float, c_uint, v, v],
            "pooling_forward_primitive_desc_create": [vp, v, i, i, v, v, dims, *spatial, v],
            "pooling_backward_primitive_desc_create": [vp, v, i, v, v, dims, *spatial, v, v],
            "eltwise_forward_primitive_desc_create": [vp, v, i, i, v, v, c_float, c_float, v],
            "eltwise_backward_primitive_desc_create": [vp, v, i, v, v, v, c_float, c_float, v, v],
        }
        results = {
            "memory_desc_get_size": c_size_t,
            "primitive_desc_query_md": c_void_p,
            "alg_kind2str": c_char_p,
        }
        for name, argtypes in signatures.items():
            try:
                function = getattr(self.dll, f"dnnl_{name}")
            except AttributeError:
                raise UnsupportedError(f"the library has no function dnnl_{name}") from None
            function.argtypes = argtypes
            function.restype = results.get(name, c_int)


def folder() -> Path:
    """Return the folder of the libraries that Paddle ships."""
    return Path(paddle.__file__).parent / "libs"


_lock = threading.Lock()
_loaded: list[Library | str] = []


def library() -> Library:
    """Return the library, loaded once; raises UnsupportedError with the reason if it cannot be used."""
    if not _loaded:
        with _lock:
            if not _loaded:
                try:
                    if os.environ.get(DISABLED_BY, "1") == "0":
                        raise UnsupportedError(f"{DISABLED_BY}=0 is set")
                    _loaded.append(Library())
                except UnsupportedError as reason:
                    _loaded.append(str(reason))
    found = _loaded[0]
    if isinstance(found, str):
        raise UnsupportedError(found)
    return found


@lru_cache(maxsize=1)
def processor_flags() -> frozenset[str]:
    """Return the instruction sets of the processor by their Linux names; empty if unknown."""
    try:
        with open("/proc/cpuinfo", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("flags"):
                    return frozenset(line.partition(":")[2].split())
    except OSError:
        pass
    return frozenset()

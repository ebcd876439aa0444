"""Primitives of oneDNN as Python objects, and a cache of those in use.

A primitive is made for one set of shapes, independent of the data; its memory objects are pointed at the tensors of
each call. That is shared state, hence a lock per primitive. Objects of the library are destroyed with their Python
object, but not while the interpreter ends: the default argument of each ``__del__`` keeps the function, because
module globals are gone by then.
"""

from __future__ import annotations

import ctypes
import os
import sys
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from ctypes import c_float, c_int, c_void_p
from functools import cached_property
from typing import Any, TypeVar

import paddle
from paddle import Tensor

from paddle_automl.core.errors import UnsupportedError
from paddle_automl.models.kernels.library import (
    ALGORITHMS,
    ARGUMENTS,
    QUERIES,
    Argument,
    Dims,
    folder,
    library,
)
from paddle_automl.paddle_compat.memory import empty_on_cpu

_FORMAT_ANY = 1
Made = TypeVar("Made")


class Layout:
    """Shape, type and order in memory (dnnl_memory_desc_t)."""

    def __init__(self, pointer: c_void_p, owner: object = None) -> None:
        self.pointer = pointer
        self._owner = owner

    @staticmethod
    def of(shape: Sequence[int], dtype: int, order: Sequence[int] | None = None) -> Layout:
        """Return the dense layout of `shape` with its axes in memory in `order`, the slowest first."""
        strides = [0] * len(shape)
        step = 1
        for axis in reversed(order or range(len(shape))):
            strides[axis] = step
            step *= shape[axis]
        return Layout.strided(shape, dtype, strides)

    @staticmethod
    def strided(shape: Sequence[int], dtype: int, strides: Sequence[int]) -> Layout:
        """Return the layout with `strides`, counted in elements."""
        rank, dims, steps = len(shape), Dims(*shape), Dims(*strides)
        return Layout(library().create("memory_desc_create_with_strides", rank, dims, dtype, steps))

    @staticmethod
    def any(shape: Sequence[int], dtype: int) -> Layout:
        """Return a layout whose order the primitive may choose."""
        rank, dims = len(shape), Dims(*shape)
        return Layout(library().create("memory_desc_create_with_tag", rank, dims, dtype, _FORMAT_ANY))

    @cached_property
    def size(self) -> int:
        """Bytes."""
        return int(library().dll.dnnl_memory_desc_get_size(self.pointer))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Layout) and bool(library().dll.dnnl_memory_desc_equal(self.pointer, other.pointer))

    __hash__ = None  # type: ignore[assignment]

    def __del__(self, ending: Callable[[], bool] = sys.is_finalizing) -> None:
        if not ending() and self._owner is None:
            library().dll.dnnl_memory_desc_destroy(self.pointer)


class Description:
    """Description of a primitive (dnnl_primitive_desc_t); raises UnsupportedError if oneDNN does not support it."""

    def __init__(self, function: str, *arguments: Any) -> None:
        given = [a.pointer if isinstance(a, Layout | Description) else a for a in arguments]
        self.pointer: c_void_p = library().create(f"{function}_primitive_desc_create", *given)

    def layout(self, name: str) -> Layout:
        """Return the layout that the primitive requires for its argument `name`."""
        found = library().dll.dnnl_primitive_desc_query_md(self.pointer, QUERIES[name], 0)
        return Layout(c_void_p(found), owner=self)

    def __del__(self, ending: Callable[[], bool] = sys.is_finalizing) -> None:
        if not ending() and hasattr(self, "pointer"):
            library().dll.dnnl_primitive_desc_destroy(self.pointer)


class Primitive:
    """A compiled operation: call it with the addresses of its arguments, in the order they were named."""

    def __init__(self, description: Description, **arguments: Layout) -> None:
        lib = library()
        self._pointer = lib.create("primitive_create", description.pointer)
        self._memories: list[c_void_p] = []
        for layout in arguments.values():
            self._memories.append(lib.create("memory_create", layout.pointer, lib.engine, None))
        indices = [ARGUMENTS[name] for name in arguments]
        pairs = [Argument(i, m) for i, m in zip(indices, self._memories, strict=True)]
        self._arguments = (Argument * len(pairs))(*pairs)
        self._count = len(pairs)
        self._lock = threading.Lock()
        self._point = lib.dll.dnnl_memory_set_data_handle
        self._execute = lib.dll.dnnl_primitive_execute
        self._stream = lib.stream

    def __call__(self, *addresses: int) -> None:
        """Compute; raises RuntimeError if the library fails."""
        point = self._point
        with self._lock:
            for memory, address in zip(self._memories, addresses, strict=True):
                point(memory, address)
            status = self._execute(self._pointer, self._stream, self._count, self._arguments)
        if status:
            raise RuntimeError(f"oneDNN returns status {status} while computing")

    def __del__(self, ending: Callable[[], bool] = sys.is_finalizing) -> None:
        if ending() or not hasattr(self, "_pointer"):
            return
        dll = library().dll
        dll.dnnl_primitive_destroy(self._pointer)
        for memory in self._memories:
            dll.dnnl_memory_destroy(memory)


def reorder(source: Layout, target: Layout) -> Primitive:
    """Return a primitive that copies from one layout and type to another; arguments: source, target."""
    engine = library().engine
    description = Description("reorder", source, engine, target, engine, None)
    return Primitive(description, src=source, dst=target)


def weighted_sum(layout: Layout, scales: Sequence[float]) -> Primitive:
    """Return a primitive for the sum of up to four arrays, each times its scale; arguments: terms, target."""
    lib = library()
    terms = (c_void_p * len(scales))(*[layout.pointer] * len(scales))
    factors = (c_float * len(scales))(*scales)
    description = Description("sum", lib.engine, layout, c_int(len(scales)), factors, terms, None)
    named: Mapping[str, Layout] = {f"term{index}": layout for index in range(len(scales))}
    return Primitive(description, **named, dst=layout)


def add_relu(layout: Layout) -> Primitive:
    """Return a primitive for max(0, a + b); arguments: a, b, target."""
    return _binary("binary_add", layout, layout, [("eltwise_relu", 0.0, 0.0)])


def rounding(layout: Layout, one: Layout, step: float, least: float, most: float) -> Primitive:
    """Return a primitive for `step` times the whole number next to a b, from `least` to `most`.

    Arguments: a, one number b, target.
    """
    then = [("eltwise_round", 0.0, 0.0), ("eltwise_clip", least, most), ("eltwise_linear", step, 0.0)]
    return _binary("binary_mul", layout, one, then)


def _binary(algorithm: str, layout: Layout, second: Layout, then: Sequence[tuple[str, float, float]]) -> Primitive:
    """Return a primitive that combines two arrays and applies functions with two parameters each to the result."""
    lib = library()
    attributes = lib.create("primitive_attr_create")
    operations = lib.create("post_ops_create")
    try:
        for name, alpha, beta in then:
            status = lib.dll.dnnl_post_ops_append_eltwise(operations, ALGORITHMS[name], alpha, beta)
            lib.check(status, "post_ops")
        lib.check(lib.dll.dnnl_primitive_attr_set_post_ops(attributes, operations), "attributes")
        number = ALGORITHMS[algorithm]
        description = Description("binary", lib.engine, number, layout, second, layout, attributes)
        return Primitive(description, src0=layout, src1=second, dst=layout)
    finally:
        lib.dll.dnnl_post_ops_destroy(operations)
        lib.dll.dnnl_primitive_attr_destroy(attributes)


def scratch(layout: Layout) -> Tensor:
    """Return uninitialized memory for data in a layout that the library chose."""
    return empty_on_cpu([layout.size], paddle.uint8)


class Cache:
    """The most recently used operations by their keys; unsupported operations are remembered too."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._made: OrderedDict[Hashable, Any] = OrderedDict()
        self._lock = threading.RLock()

    def get(self, make: Callable[..., Made], *key: Hashable) -> Made:
        """Return ``make(*key)``, kept from an earlier call if possible; raises UnsupportedError, as `make` does."""
        place = (make, key)
        with self._lock:
            found = self._made.get(place)
            if found is None:
                try:
                    found = make(*key)
                except UnsupportedError as reason:
                    found = reason
                self._made[place] = found
                while len(self._made) > self.capacity:
                    self._made.popitem(last=False)
            else:
                self._made.move_to_end(place)
        if isinstance(found, UnsupportedError):
            raise UnsupportedError(*found.args)
        return found

    def clear(self) -> None:
        """Forget all operations; those in use finish."""
        with self._lock:
            self._made.clear()

    def __len__(self) -> int:
        return len(self._made)


CACHE = Cache(1024)
"""Operations of this process. A network has a few dozen; the last batch of an epoch adds as many."""


def set_threads(count: int) -> None:
    """Let oneDNN use `count` threads when called from this thread; works at any time, also after a fork.

    ``paddle.set_num_threads`` does not affect it. The order of loading decides whether the library uses Intel's
    OpenMP (loaded by Paddle) or GNU's (it was built with it), so both are set. Does nothing if the library cannot
    be used.
    """
    try:
        library()
    except UnsupportedError:
        return
    for name in (str(folder() / "libiomp5.so"), "libgomp.so.1"):
        # Only one that is loaded already counts.
        with suppress(OSError, AttributeError):
            ctypes.CDLL(name, mode=os.RTLD_NOLOAD | os.RTLD_LAZY).omp_set_num_threads(count)
    # A primitive keeps the number of threads with which it was made.
    CACHE.clear()

"""A reader of PyTorch's weight files in the format before version 1.6 (``.pth``), which calls nothing.

Such a file is a row of five pickles: a magic number, a protocol number, facts about the system, the state dict,
and the keys of the storages. Then follow the storages in the order of the keys: the number of elements (8 bytes,
little-endian) and the elements (``torch/serialization.py``, ``_legacy_save``). In the state dict a tensor is a call
of ``torch._utils._rebuild_tensor_v2`` on a storage outside of the pickle. ``torch.load`` would run any program that
such a file names; this reader interprets the instructions itself, as `pickled_arrays` does.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.files import open_regular
from paddle_automl.paddle_compat.pickled_arrays import Bounded, Machine
from paddle_automl.paddle_compat.pickled_objects import Function, Maker, NoArraysError

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001
_TENSOR = "torch._utils._rebuild_tensor_v2"
_DTYPES = {
    "torch.FloatStorage": "<f4",
    "torch.DoubleStorage": "<f8",
    "torch.HalfStorage": "<f2",
    "torch.LongStorage": "<i8",
    "torch.IntStorage": "<i4",
}
_MOST_AXES = 16


@dataclass
class _Storage:
    """A block of numbers; `content` follows the pickles."""

    dtype: np.dtype
    size: int
    content: np.ndarray | None = None


@dataclass(frozen=True)
class _Tensor:
    """A window on a storage: from element `offset` on, with `strides` in elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _TorchMaker(Maker):
    """Makes the tensors of a state dict, as windows on storages that are read later."""

    known: ClassVar[frozenset[str]] = frozenset((_TENSOR, *_DTYPES, "collections.OrderedDict"))

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.storages: dict[str, _Storage] = {}

    def outside(self, name: Any) -> _Storage:
        """Return the storage named ``('storage', type, key, device, number of elements, None)``."""
        if type(name) is not tuple or len(name) != 6 or name[0] != "storage" or name[5] is not None:
            raise NoArraysError("it refers to something that is not a storage")
        _, kind, key, _, size, _ = name
        if not isinstance(kind, Function) or kind.name not in _DTYPES or not isinstance(key, str):
            raise NoArraysError("it refers to a storage of an unknown type")
        if not _is_count(size):
            raise NoArraysError("it holds a storage of an impossible size")
        found = self.storages.setdefault(key, _Storage(np.dtype(_DTYPES[kind.name]), size))
        if (found.dtype, found.size) != (np.dtype(_DTYPES[kind.name]), size):
            raise NoArraysError(f"it describes the storage {key[:40]} in two ways")
        return found

    def called(self, full: str, given: tuple[Any, ...]) -> Any:
        """Return the tensor ``(storage, offset, shape, strides, ...)``, checked against its storage."""
        if full != _TENSOR or len(given) < 4:
            raise NoArraysError(f"it calls {full} with arguments that do not describe a tensor")
        storage, offset, shape, strides = given[:4]
        sound = (
            isinstance(storage, _Storage)
            and _is_count(offset)
            and type(shape) is tuple
            and type(strides) is tuple
            and len(shape) == len(strides) <= _MOST_AXES
            and all(map(_is_count, (*shape, *strides)))
        )
        if not sound:
            raise NoArraysError("it holds a tensor that is not a window on a storage")
        last = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True))
        if math.prod(shape) and not last < storage.size:
            raise NoArraysError(f"a tensor reaches to element {last} of a storage of {storage.size}")
        # With a stride of zero a few numbers could become gigabytes.
        self.spend(math.prod(shape) * storage.dtype.itemsize)
        return _Tensor(storage, offset, shape, strides)

    def give_state(self, target: Any, state: Any) -> None:
        """Ignore the attribute ``_metadata`` of a state dict."""
        if type(target) is not dict or type(state) is not dict:
            raise NoArraysError("it sets the state of an object that has none")


def load_torch_weights(path: str | Path) -> dict[str, np.ndarray]:
    """Return the arrays of a ``.pth`` file by name; raises ConfigError if it is not a file of this format."""
    try:
        with open_regular(path) as file:
            return _arrays(file, os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the weights: {error.strerror}") from None
    except MemoryError:
        raise ConfigError(f"{path}: cannot read the weights: they need more memory than available") from None
    except Exception as error:  # noqa: BLE001  a damaged pickle can raise any exception
        raise ConfigError(f"{path}: is not a file of weights (.pth of PyTorch before 1.6): {error}") from None


def _arrays(file: BinaryIO, size: int) -> dict[str, np.ndarray]:
    bounded = Bounded(file, size)

    def next_pickle(make: Maker | None = None) -> Any:
        return Machine(make or Maker(size)).run(bounded)

    if file.peek(2)[:2] == b"PK":  # type: ignore[attr-defined]
        raise NoArraysError("it has the zip format of PyTorch 1.6 and later")
    if next_pickle() != MAGIC or next_pickle() != PROTOCOL:
        raise NoArraysError("it does not begin with the magic number of the format")
    system = next_pickle()
    if not isinstance(system, Mapping) or system.get("little_endian") is not True:
        raise NoArraysError("its numbers are not little-endian")
    make = _TorchMaker(size)
    state, keys = next_pickle(make), next_pickle()
    if not isinstance(state, dict) or not isinstance(keys, list):
        raise NoArraysError("it does not hold a state dict")
    for key in keys:
        _read_storage(bounded, make.storages, key)
    found = {name: _array(name, value) for name, value in state.items() if isinstance(value, _Tensor)}
    if not found:
        raise NoArraysError("it holds no tensors")
    return found


def _read_storage(file: Bounded, storages: Mapping[str, _Storage], key: Any) -> None:
    storage = storages.get(key) if isinstance(key, str) else None
    if storage is None or storage.content is not None:
        raise NoArraysError("its storages are not those of the state dict")
    count = int.from_bytes(file.read(8), "little")
    if count != storage.size:
        raise NoArraysError(f"a storage holds {count} numbers, {storage.size} are described")
    content = file.read(count * storage.dtype.itemsize)
    if len(content) != count * storage.dtype.itemsize:
        raise NoArraysError("it is truncated")
    storage.content = np.frombuffer(content, storage.dtype)


def _array(name: Any, tensor: _Tensor) -> np.ndarray:
    content = tensor.storage.content
    if content is None:
        raise NoArraysError(f"the numbers of {name} are missing")
    if not math.prod(tensor.shape):
        return np.empty(tensor.shape, tensor.storage.dtype)
    # Offset, shape and strides were compared with the storage's size, which is that of `content`.
    strides = tuple(stride * content.itemsize for stride in tensor.strides)
    return np.array(np.lib.stride_tricks.as_strided(content[tensor.offset :], tensor.shape, strides))


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**62

"""A reader of PyTorch's weight files (``.pth``), which calls nothing.

Before version 1.6 such a file is a row of five pickles: a magic number, a protocol number, facts about the system,
the state dict, and the keys of the storages. Then follow the storages in the order of the keys: the number of
elements (8 bytes, little-endian) and the elements (``torch/serialization.py``, ``_legacy_save``). Since then it is
an uncompressed zip archive with the state dict in ``data.pkl`` and each storage in ``data/<key>`` (``_save``). In
the state dict a tensor is a call of ``torch._utils._rebuild_tensor_v2`` on a storage outside of the pickle.
``torch.load`` may run any program that such a file names; this reader interprets the instructions itself, as
`pickled_arrays` does.
"""

from __future__ import annotations

import io
import math
import os
import zipfile
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
    "torch.BFloat16Storage": "<u2",
}
_BFLOAT16 = np.dtype(_DTYPES["torch.BFloat16Storage"])
"""Stands for bfloat16, which numpy does not have; no storage of such integers is read."""
_PARAMETER = "torch._utils._rebuild_parameter"
_MOST_AXES = 16
_MOST_FILES = 100_000
"""Most files of an archive; it has one for each tensor."""
_WRAPPED = ("state_dict", "model_state_dict", "model")
"""Keys under which a checkpoint may hold the state dict."""


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

    known: ClassVar[frozenset[str]] = frozenset((_TENSOR, _PARAMETER, *_DTYPES, "collections.OrderedDict"))

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.storages: dict[str, _Storage] = {}

    def outside(self, name: Any) -> _Storage:
        """Return the storage named ``('storage', type, key, device, number of elements)``, and None at the end."""
        known = type(name) is tuple and len(name) >= 5 and name[0] == "storage" and name[5:] in ((), (None,))
        if not known:
            raise NoArraysError("it refers to something that is not a storage")
        _, kind, key, _, size = name[:5]
        if not isinstance(kind, Function) or kind.name not in _DTYPES or not isinstance(key, str):
            raise NoArraysError("it refers to a storage of an unknown type")
        if not _is_count(size):
            raise NoArraysError("it holds a storage of an impossible size")
        found = self.storages.setdefault(key, _Storage(np.dtype(_DTYPES[kind.name]), size))
        if (found.dtype, found.size) != (np.dtype(_DTYPES[kind.name]), size):
            raise NoArraysError(f"it describes the storage {key[:40]} in two ways")
        return found

    def called(self, full: str, given: tuple[Any, ...]) -> Any:
        """Return the tensor ``(storage, offset, shape, strides, ...)``, checked against its storage.

        A parameter is its tensor.
        """
        if full == _PARAMETER and given and isinstance(given[0], _Tensor):
            return given[0]
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
        raise ConfigError(f"{path}: is not a file of weights (.pth as torch.save writes it): {error}") from None


def _arrays(file: BinaryIO, size: int) -> dict[str, np.ndarray]:
    if file.peek(2)[:2] == b"PK":  # type: ignore[attr-defined]
        return _arrays_of_archive(file, size)
    bounded = Bounded(file, size)

    def next_pickle(make: Maker | None = None) -> Any:
        return Machine(make or Maker(size)).run(bounded)

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
    return _tensors_of(state)


def _arrays_of_archive(file: BinaryIO, size: int) -> dict[str, np.ndarray]:
    """Read the format since PyTorch 1.6; nothing in it may be compressed, so all parts fit into its size."""
    with zipfile.ZipFile(file) as archive:
        parts = {info.filename: info for info in archive.infolist()}
        if len(parts) > _MOST_FILES or any(info.compress_type != zipfile.ZIP_STORED for info in parts.values()):
            raise NoArraysError("it has too many parts, or compressed ones")
        if sum(info.file_size for info in parts.values()) > size:
            raise NoArraysError("it describes parts that are larger than the file")
        pickles = [name for name in parts if name.endswith("/data.pkl") and name.count("/") == 1]
        if len(pickles) != 1:
            raise NoArraysError("it is a zip archive without one data.pkl")
        folder = pickles[0].rpartition("/")[0]
        order = f"{folder}/byteorder"
        if order in parts and archive.read(order) != b"little":
            raise NoArraysError("its numbers are not little-endian")
        make, content = _TorchMaker(size), archive.read(pickles[0])
        state = Machine(make).run(Bounded(io.BytesIO(content), len(content)))
        if not isinstance(state, dict):
            raise NoArraysError("it does not hold a state dict")
        for key, storage in make.storages.items():
            _fill(storage, archive, parts.get(f"{folder}/data/{key}"))
    return _tensors_of(state)


def _fill(storage: _Storage, archive: zipfile.ZipFile, part: zipfile.ZipInfo | None) -> None:
    expected = storage.size * storage.dtype.itemsize
    if part is None or part.file_size != expected:
        found = "none" if part is None else f"{part.file_size} bytes"
        raise NoArraysError(f"a storage of {expected} bytes is described, but there are {found}")
    storage.content = _numbers(archive.read(part), storage.dtype)


def _tensors_of(state: dict[Any, Any]) -> dict[str, np.ndarray]:
    """Return the tensors of a state dict, which may be an entry of a checkpoint."""
    inner = [state, *(state[key] for key in _WRAPPED if isinstance(state.get(key), dict))]
    for names in inner:
        found = {str(name): _array(name, value) for name, value in names.items() if isinstance(value, _Tensor)}
        if found:
            return found
    raise NoArraysError("it holds no tensors")


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
    storage.content = _numbers(content, storage.dtype)


def _numbers(content: bytes, dtype: np.dtype) -> np.ndarray:
    return widened(content) if dtype == _BFLOAT16 else np.frombuffer(content, dtype)


def widened(content: bytes) -> np.ndarray:
    """Return numbers in bfloat16, little-endian, as float32 [n], of which they are the upper half."""
    return (np.frombuffer(content, "<u2").astype("<u4") << 16).view("<f4")


def _array(name: Any, tensor: _Tensor) -> np.ndarray:
    content = tensor.storage.content
    if content is None:
        raise NoArraysError(f"the numbers of {name} are missing")
    if not math.prod(tensor.shape):
        return np.empty(tensor.shape, content.dtype)
    # Offset, shape and strides were compared with the storage's size, which is that of `content`.
    strides = tuple(stride * content.itemsize for stride in tensor.strides)
    return np.array(np.lib.stride_tricks.as_strided(content[tensor.offset :], tensor.shape, strides))


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value < 2**62

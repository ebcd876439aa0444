"""Writes PyTorch's weight files, in the format before version 1.6 and in that since then, without PyTorch."""

import io
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict

MAGIC, PROTOCOL = 0x1950A86A20F9469CFC6C, 1001


class Tensor:
    """A window on `storage`, a contiguous array; `changes` are other arguments of the tensor's call."""

    def __init__(self, storage, key, **changes):
        strides = tuple(stride // storage.itemsize for stride in storage.strides)
        self.storage, self.key = storage, key
        self.arguments = {"offset": 0, "shape": storage.shape, "strides": strides, **changes}

    def __reduce__(self):
        given = self.arguments
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        return rebuild, (Stored(self), given["offset"], given["shape"], given["strides"], False, OrderedDict())


class Stored:
    """A storage, which the pickle names and does not hold."""

    def __init__(self, tensor):
        self.array, self.key = tensor.storage, tensor.key
        self.size = tensor.arguments.get("size", self.array.size)


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj):
        if not isinstance(obj, Stored):
            return None
        kind = {"f": "FloatStorage", "i": "LongStorage", "u": "BFloat16Storage"}[obj.array.dtype.kind]
        return ("storage", getattr(sys.modules["torch"], kind), obj.key, "cpu", obj.size, None)


class StateDict(OrderedDict):
    """Has an attribute, as PyTorch's state dicts do."""

    def __reduce__(self):
        return OrderedDict, (), {"_metadata": OrderedDict(version=1)}, None, iter(self.items())


def _modules():
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in ("FloatStorage", "LongStorage", "BFloat16Storage"):
        setattr(torch, name, type(name, (), {"__module__": "torch"}))

    def rebuild(*arguments):
        raise AssertionError("a reader must not call anything")

    rebuild.__module__, rebuild.__qualname__, rebuild.__name__ = "torch._utils", *2 * ("_rebuild_tensor_v2",)
    utils._rebuild_tensor_v2 = rebuild
    return {"torch": torch, "torch._utils": utils}


def written(monkeypatch, tensors, *, magic=MAGIC, little=True, storages=None):
    """Return the content of a file with `tensors` by name; other values are pickled as they are."""
    buffer = io.BytesIO()
    with monkeypatch.context() as patch:
        for name, module in _modules().items():
            patch.setitem(sys.modules, name, module)
        for value in (magic, PROTOCOL, {"protocol_version": PROTOCOL, "little_endian": little}):
            pickle.dump(value, buffer, protocol=2)
        _Pickler(buffer, protocol=2).dump(StateDict(tensors))
        arrays = {item.key: item.storage for item in tensors.values() if isinstance(item, Tensor)}
        arrays = arrays if storages is None else storages
        pickle.dump(sorted(arrays), buffer, protocol=2)
    for key in sorted(arrays):
        buffer.write(struct.pack("<q", arrays[key].size) + arrays[key].tobytes())
    return buffer.getvalue()


def archived(monkeypatch, state, *, name="data.pkl", order=b"little", parts=None, compression=zipfile.ZIP_STORED):
    """Return the content of an archive with `state`; `parts` are its storages' bytes by key."""
    pickled, buffer = io.BytesIO(), io.BytesIO()
    with monkeypatch.context() as patch:
        for module_name, module in _modules().items():
            patch.setitem(sys.modules, module_name, module)
        inner = state.get("state_dict", {})
        _Pickler(pickled, protocol=2).dump(state if inner else StateDict(state))
    arrays = {item.key: item.storage.tobytes() for item in (inner or state).values() if isinstance(item, Tensor)}
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr(f"archive/{name}", pickled.getvalue())
        archive.writestr("archive/byteorder", order)
        for key, content in (arrays if parts is None else parts).items():
            archive.writestr(f"archive/data/{key}", content)
    return buffer.getvalue()

"""The objects that a pickle of arrays may make: arrays, number types, plain containers; nothing is called.

Their total size is bounded by the size of the file.
"""

from __future__ import annotations

import math
import re
from collections.abc import Container
from typing import Any, ClassVar

import numpy as np

_DTYPE = re.compile(r"([<>|=]?)(f[248]|[iu][1248]|b1|c8|c16)")
_CONTAINERS = {
    "builtins.tuple": tuple,
    "builtins.list": list,
    "builtins.dict": dict,
    "collections.OrderedDict": dict,
}
_ARRAYS = {
    **{
        f"numpy.{core}.multiarray.{name}": name for core in ("core", "_core") for name in ("_reconstruct", "scalar")
    },
    **{f"numpy.{core}.numeric._frombuffer": "_frombuffer" for core in ("core", "_core")},
    "numpy.ndarray": "ndarray",
    "numpy.dtype": "dtype",
    "_codecs.encode": "encode",
    "builtins.bytes": "bytes",
}
_COPIES = 3
"""How often the bytes of a file may be copied: in protocol 2 a text becomes bytes, then numbers."""


class NoArraysError(Exception):
    """The reason why the content is not a pickle of arrays."""


class Function:
    """A function or class that the file names; raises NoArraysError for any that is not `known`."""

    def __init__(self, module: Any, name: Any, known: Container[str]) -> None:
        full = f"{module}.{name}".replace("__builtin__.", "builtins.") if isinstance(module, str) else ""
        if not isinstance(name, str) or full not in known:
            raise NoArraysError(f"it holds '{_short(full)}', which no weight file needs")
        self.name = full


class Dtype:
    """A number type, whose byte order may follow."""

    def __init__(self, code: Any) -> None:
        match = _DTYPE.fullmatch(code) if isinstance(code, str) else None
        if match is None:
            raise NoArraysError(f"it holds an array of the type {_short(code)}, which is not a number type")
        self.order, self.code = match.groups()

    @property
    def numpy(self) -> np.dtype:
        """NumPy's own type."""
        return np.dtype(f"{self.order or '='}{self.code}")


class Array:
    """An array, whose content may follow."""

    content: np.ndarray | None = None


class Maker:
    """Makes objects from the content of a file of `size` bytes, and counts their size."""

    known: ClassVar[frozenset[str]] = frozenset((*_ARRAYS, *_CONTAINERS))
    """Names of functions and classes that a file may use."""

    def __init__(self, size: int) -> None:
        self._left = _COPIES * size

    def function(self, module: Any, name: Any) -> Function:
        """Return a function or class that the file names; raises NoArraysError for any that is not known."""
        return Function(module, name, self.known)

    def outside(self, name: Any) -> Any:
        """Return an object whose content is outside of the pickle; raises NoArraysError."""
        raise NoArraysError("it refers to an object outside of it")

    def spend(self, amount: int) -> None:
        """Count the size of what is made; otherwise data that are used repeatedly could grow without bound."""
        self._left -= amount
        if self._left < 0:
            raise NoArraysError("the objects it describes are larger than its data")

    def call(self, function: Any, given: Any) -> Any:
        """Return the result of a function of the file for the arguments in a tuple; raises NoArraysError."""
        if not isinstance(function, Function) or type(given) is not tuple:
            raise NoArraysError("it calls something that is not a function")
        if function.name in _CONTAINERS:
            return self._container(_CONTAINERS[function.name], given)
        return self.called(function.name, given)

    def give_state(self, target: Any, state: Any) -> None:
        """Complete a number type or an array; raises NoArraysError."""
        if type(state) is not tuple:
            raise NoArraysError("the state of an object is not a tuple")
        if isinstance(target, Dtype) and len(state) >= 2 and state[1] in ("<", ">", "|", "="):
            target.order = state[1]
        elif isinstance(target, Array) and len(state) in (4, 5):
            shape, dtype, fortran, content = state[-4:]
            target.content = self._numbers(content, dtype, shape, fortran is True or fortran == 1)
        else:
            raise NoArraysError("it sets the state of an object that has none")

    def _container(self, kind: Any, given: tuple[Any, ...]) -> Any:
        if len(given) > 1 or not all(type(item) in (tuple, list, dict) for item in given):
            raise NoArraysError(f"it makes a {kind.__name__} from a wrong type")
        source = given[0] if given else ()
        self.spend(len(source))
        if kind is not dict:
            return kind(source)
        if type(source) is dict:
            return dict(source)
        if not all(type(pair) in (tuple, list) and len(pair) == 2 for pair in source):
            raise NoArraysError("it makes a mapping from something that is not a list of pairs")
        return filled({}, [item for pair in source for item in pair])

    def called(self, full: str, given: tuple[Any, ...]) -> Any:
        """Return the result of the function with this name, which is `known`; raises NoArraysError."""
        name = _ARRAYS[full]
        if name == "encode" and len(given) == 2 and isinstance(given[0], str) and given[1] in ("latin1", "latin-1"):
            self.spend(len(given[0]))
            return given[0].encode("latin-1")
        if name == "bytes" and not given:
            return b""
        if name == "dtype" and given:
            return Dtype(given[0])
        if name == "_reconstruct":
            return Array()
        if name == "scalar":
            return None
        if name == "_frombuffer" and len(given) == 4:
            array = Array()
            content, dtype, shape, order = given
            array.content = self._numbers(content, dtype, shape, order == "F")
            return array
        raise NoArraysError(f"it calls {name} with arguments that do not describe an array")

    def _numbers(self, content: Any, dtype: Any, shape: Any, fortran: bool) -> np.ndarray:
        """Return an array of numbers from its bytes, whose number must match the shape exactly."""
        if isinstance(content, str):
            # Python 2 wrote bytes as texts.
            content = content.encode("latin-1")
        if not isinstance(dtype, Dtype) or not isinstance(content, bytes | bytearray) or type(shape) is not tuple:
            raise NoArraysError("it holds an array that is not made of numbers")
        if len(shape) > 32 or not all(type(size) is int and 0 <= size < 2**62 for size in shape):
            raise NoArraysError("it holds an array of an impossible shape")
        expected = math.prod(shape) * dtype.numpy.itemsize
        if expected != len(content):
            raise NoArraysError(f"an array of shape {list(shape)} needs {expected} bytes, it holds {len(content)}")
        self.spend(len(content))
        flat = np.frombuffer(content, dtype.numpy) if content else np.empty(0, dtype.numpy)
        # A writable copy in the machine's byte order.
        return flat.reshape(shape, order="F" if fortran else "C").astype(dtype.numpy.newbyteorder("="))


def filled(target: Any, items: list[Any]) -> dict[Any, Any]:
    """Return a mapping with the alternating keys and values of `items` added; raises NoArraysError."""
    if type(target) is not dict or len(items) % 2:
        raise NoArraysError("it adds keys and values to something that is not a mapping")
    for key, value in zip(items[::2], items[1::2], strict=True):
        # No other keys: hashing a tuple of a hundred thousand nested tuples would overflow the stack.
        if not isinstance(key, str) and not (isinstance(key, int) and key.bit_length() <= 64):
            raise NoArraysError("a key is neither a text nor a small number")
        target[key] = value
    return target


def _short(text: Any) -> str:
    shown = str(text) if isinstance(text, str | int) else type(text).__name__
    return shown if len(shown) <= 80 else f"{shown[:70]}..."

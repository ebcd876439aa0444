"""Weight files (``.pdparams``) written in one step, and read without running code from them.

``paddle.load`` unpickles whatever the file holds, so a downloaded file could run any program. The reader
here only builds NumPy arrays and plain containers, which is all that a state dict is made of.
"""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.files import replacing

NAME_TABLE = "StructuredToParameterName@@"
"""Key under which Paddle keeps the names of parameters beside the arrays."""

_ALLOWED = {
    ("builtins", "tuple"),
    ("builtins", "list"),
    ("builtins", "dict"),
    ("collections", "OrderedDict"),
    ("_codecs", "encode"),
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "scalar"),
    ("numpy.core.numeric", "_frombuffer"),
    ("numpy._core.numeric", "_frombuffer"),
}


class _ArraysOnly(pickle.Unpickler):
    """Unpickler that refuses every class and function but those that rebuild arrays."""

    def find_class(self, module: str, name: str) -> Any:
        if module == "__builtin__":
            module = "builtins"
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it holds '{module}.{name}', which no weight file needs")
        return super().find_class(module, name)


def save_weights(path: str | Path, state: Mapping[str, Any]) -> None:
    """Write a state dict as ``.pdparams``; the file is complete or not there at all."""
    with replacing(path) as temporary:
        paddle.save(dict(state), str(temporary))


def load_weights(path: str | Path) -> dict[str, np.ndarray]:
    """Return the arrays of a ``.pdparams`` file by name; raises ConfigError if it is no such file."""
    try:
        with open(path, "rb") as file:
            content = _ArraysOnly(file, encoding="latin1").load()
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the weights: {error.strerror}") from None
    except Exception as error:  # noqa: BLE001  a damaged pickle can raise any exception
        raise ConfigError(
            f"{path}: is not a file of weights (.pdparams as paddle.save writes it): {error}"
        ) from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: must hold a state dict, got a {type(content).__name__}")
    arrays = {}
    for name, value in content.items():
        array = _array_of(value)
        if name != NAME_TABLE and array is not None:
            arrays[str(name)] = array
    if not arrays:
        raise ConfigError(f"{path}: holds no weights")
    return arrays


def _array_of(value: Any) -> np.ndarray | None:
    if isinstance(value, tuple) and len(value) == 2:
        # paddle.save writes a lone tensor as (name, array).
        value = value[1]
    return value if isinstance(value, np.ndarray) else None

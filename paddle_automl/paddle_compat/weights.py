"""Weight files (``.pdparams``): written in one step, and read without running code from them.

``paddle.load`` unpickles everything in the file, so a downloaded file could run any program. The reader here only
builds NumPy arrays of numbers and plain containers, the contents of a state dict (`pickled_arrays`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import paddle

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.files import open_regular, replacing
from paddle_automl.paddle_compat.pickled_arrays import read_arrays

NAME_TABLE = "StructuredToParameterName@@"
"""Key under which Paddle stores the names of parameters together with the arrays."""


def save_weights(path: str | Path, state: Mapping[str, Any]) -> None:
    """Write a state dict as ``.pdparams``; a kill leaves the complete old or new file."""
    with replacing(path) as temporary:
        paddle.save(dict(state), str(temporary))


def load_weights(path: str | Path) -> dict[str, np.ndarray]:
    """Return the arrays of a ``.pdparams`` file by name; raises ConfigError if it is not such a file."""
    try:
        with open_regular(path) as file:
            content = read_arrays(file, os.fstat(file.fileno()).st_size)
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the weights: {error.strerror}") from None
    except MemoryError:
        raise ConfigError(f"{path}: cannot read the weights: they need more memory than available") from None
    except Exception as error:  # noqa: BLE001  a damaged pickle can raise any exception
        raise ConfigError(
            f"{path}: is not a file of weights (.pdparams as paddle.save writes it): {error}"
        ) from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: must hold a state dict, got a {type(content).__name__}")
    arrays = {
        str(name): value for name, value in content.items() if name != NAME_TABLE and isinstance(value, np.ndarray)
    }
    if not arrays:
        raise ConfigError(f"{path}: holds no weights")
    return arrays

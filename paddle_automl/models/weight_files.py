"""Files of weights in the formats that networks are published in, read without running code of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.extras import needed
from paddle_automl.core.files import open_regular, reason_of
from paddle_automl.paddle_compat.torch_weights import load_torch_weights, widened
from paddle_automl.paddle_compat.weights import load_weights

TORCH = (".pth", ".pt", ".bin")
"""Ends of the names of files that ``torch.save`` writes."""
SAFETENSORS = ".safetensors"
BFLOAT16 = "BF16"
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BOOL": "?"} | {
    f"{kind}{8 * size}": f"<{kind.lower()}{size}" for kind in "IU" for size in (1, 2, 4, 8)
}
"""Types of a .safetensors file that numpy has; weights are floating-point numbers, counters are integers."""


def read_weights(path: str | Path) -> dict[str, np.ndarray]:
    """Return the arrays of a file by name: ``.safetensors``, ``.pth`` (also .pt, .bin), or else ``.pdparams``.

    Raises ConfigError if it is not such a file.
    """
    suffix = Path(path).suffix.lower()
    if suffix == SAFETENSORS:
        return _safetensors(path)
    return load_torch_weights(path) if suffix in TORCH else load_weights(path)


def _safetensors(path: str | Path) -> dict[str, np.ndarray]:
    """Read the format of Hugging Face; its library checks the sizes and offsets in the header against the file."""
    library = needed("safetensors", "pretrained", f"{path}")
    try:
        with open_regular(path) as file:
            found: list[tuple[str, Mapping[str, Any]]] = library.deserialize(file.read())
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the weights: {reason_of(error)}") from None
    except MemoryError:
        raise ConfigError(f"{path}: cannot read the weights: they need more memory than available") from None
    except Exception as error:  # noqa: BLE001  the library raises errors of its own
        raise ConfigError(f"{path}: is not a file of weights (.safetensors): {error}") from None
    if not found:
        raise ConfigError(f"{path}: holds no weights")
    return {name: _array(path, name, entry) for name, entry in found}


def _array(path: str | Path, name: str, entry: Mapping[str, Any]) -> np.ndarray:
    """Return a tensor of such a file, bfloat16 as float32; raises ConfigError for a type that numpy lacks."""
    kind, content, shape = entry["dtype"], entry["data"], entry["shape"]
    if kind == BFLOAT16:
        return widened(content).reshape(shape)
    if kind not in _DTYPES:
        raise ConfigError(f"{path}: {name} is of the type {kind}, which is not read; convert it to F32")
    return np.frombuffer(content, _DTYPES[kind]).reshape(shape)

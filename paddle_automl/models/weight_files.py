"""Files of weights in the formats that networks are published in, read without running code of them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.extras import needed
from paddle_automl.core.files import open_regular, reason_of
from paddle_automl.paddle_compat.torch_weights import load_torch_weights
from paddle_automl.paddle_compat.weights import load_weights

TORCH = (".pth", ".pt", ".bin")
"""Ends of the names of files that ``torch.save`` writes."""
SAFETENSORS = ".safetensors"


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
    numpy_reader = needed("safetensors.numpy", "pretrained", f"{path}")
    try:
        with open_regular(path) as file:
            arrays: Mapping[str, np.ndarray] = numpy_reader.load(file.read())
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the weights: {reason_of(error)}") from None
    except MemoryError:
        raise ConfigError(f"{path}: cannot read the weights: they need more memory than available") from None
    except Exception as error:  # noqa: BLE001  the library raises errors of its own, and KeyError for a type
        raise ConfigError(f"{path}: is not a file of weights (.safetensors): {error}") from None
    if not arrays:
        raise ConfigError(f"{path}: holds no weights")
    return dict(arrays)

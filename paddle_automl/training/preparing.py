"""What a network learns from training items before its first step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import paddle
from paddle import Tensor

from paddle_automl.core.seeds import generator
from paddle_automl.models.network import Network

if TYPE_CHECKING:
    from paddle_automl.data.splits import PreparedData, Split

ITEMS = 5000
"""Most training items whose statistics are used, as in Jordan 2024, arXiv:2404.00498, section 3.2."""
BATCH = 100


def prepare(model: Network, data: PreparedData, seed: int) -> None:
    """Prepare a network that needs it from up to 5,000 items of the training split, drawn by `seed`.

    Nothing happens to other networks, to one that is prepared already, and to one whose weights came from a file.
    Raises ConfigError if the training split is empty.
    """
    if model.needs_preparation:
        chosen = generator(seed, "preparation").permutation(len(data.train))[:ITEMS]
        model.prepare(_batches(data.train, np.sort(chosen)))


def _batches(split: Split, chosen: np.ndarray) -> Iterator[list[Tensor]]:
    for start in range(0, len(chosen), BATCH):
        arrays = split.input.batch(split.raw(chosen[start : start + BATCH]))
        yield [paddle.to_tensor(array) for array in arrays.values()]

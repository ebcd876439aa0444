"""The interface of rejection scores, which say how much an item looks like the known classes."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np

from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig

Needs = Literal["outputs", "raw", "features"]
State = Mapping[str, np.ndarray]
"""Arrays that a score has learned from training items, by name."""


class RejectionScore(ABC):
    """A number per item, larger for items that look like the known classes.

    A score of the `outputs` (probabilities) is computed from them after the network has run. One of the `raw`
    outputs or of the `features` before the head becomes a second output of the exported network.
    """

    class Config(PluginConfig):
        """Options of the score."""

    name: str = ""
    needs: ClassVar[Needs] = "outputs"

    def __init__(self, config: PluginConfig) -> None:
        self.config = config

    def fit(self, values: np.ndarray, codes: np.ndarray, classes: int) -> dict[str, np.ndarray]:
        """Return the arrays that the score needs, float32, from the `values` of training items ``[N, ...]``.

        `codes` are their classes, int64 ``[N]`` from 0 to ``classes - 1``.
        """
        del values, codes, classes
        return {}

    @abstractmethod
    def __call__(self, values: np.ndarray, state: State) -> np.ndarray:
        """Return the score of each item, float64 ``[N]``, of what it `needs`, ``[N, ...]``."""

    def in_graph(self, paddle: Any, values: Any, state: Mapping[str, Any]) -> Any:
        """Return the same as a Paddle tensor, float32 ``[N, 1]``; only for a score of `raw` or `features`."""
        raise NotImplementedError(f"{self.name} is computed from the outputs")


SCORES: Registry[RejectionScore] = Registry(
    "rejection score", "paddle_automl.deployment.rejection", "deployment.rejection.scores"
)

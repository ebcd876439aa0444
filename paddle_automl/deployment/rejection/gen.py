"""The generalized entropy of the probabilities as rejection score."""

from __future__ import annotations

import numpy as np
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.deployment.rejection.base import SCORES, RejectionScore, State


@SCORES.register("gen")
class Gen(RejectionScore):
    """The negative generalized entropy of the largest probabilities (Liu, Lochman & Zach 2023, eq. 5 and 6)."""

    class Config(PluginConfig):
        """Options of the entropy."""

        gamma: float = Field(0.1, gt=0, lt=1)
        """Exponent: the smaller it is, the more small probabilities of other classes count."""

        largest: int = Field(100, ge=2)
        """Number of probabilities that are used, the largest ones."""

    config: Config

    def __call__(self, values: np.ndarray, state: State) -> np.ndarray:
        """Return ``-sum(p^gamma (1 - p)^gamma)`` over the largest of the probabilities ``[N, K]``."""
        ordered = np.sort(np.clip(np.asarray(values, dtype=np.float64), 0, 1), axis=1)
        # In float32 a probability near 1 is coarse; the sum of the others is not.
        rest = 1 - ordered
        rest[:, -1] = np.minimum(ordered[:, :-1].sum(axis=1), 1)
        terms = (ordered * rest) ** self.config.gamma
        return np.asarray(-terms[:, -self.config.largest :].sum(axis=1))

"""The largest probability as rejection score."""

from __future__ import annotations

import numpy as np

from paddle_automl.core.schema import PluginConfig
from paddle_automl.deployment.rejection.base import SCORES, RejectionScore, State


@SCORES.register("max_probability")
class MaxProbability(RejectionScore):
    """The probability of the likeliest class (Hendrycks & Gimpel 2017)."""

    class Config(PluginConfig):
        """No options."""

    def __call__(self, values: np.ndarray, state: State) -> np.ndarray:
        """Return the largest of the probabilities ``[N, K]``."""
        return np.asarray(values.max(axis=1), dtype=np.float64)

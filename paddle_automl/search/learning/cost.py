"""Predicted time of a trial: the logarithm of its seconds, learned from completed trials."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from paddle_automl.search.learning.columns import Array
from paddle_automl.search.learning.encoding import Encoding
from paddle_automl.search.learning.observations import Observations
from paddle_automl.search.learning.values import Features, posterior

FEWEST = 4
"""Trials with known seconds that a prediction needs."""
RIDGE = 0.1


class CostModel:
    """Ridge regression of log seconds on the per-decision features of a configuration.

    Width, depth and image size multiply the time of a training, so their effects on the logarithm add up.
    """

    def __init__(self, encoding: Encoding) -> None:
        self._features = Features(encoding)

    def fitted(self, seen: Observations) -> Callable[[Array], Array]:
        """Return a function from rows [M, D] to predicted log seconds [M]; zeros while too few times are known."""
        known = seen.seconds > 0
        if int(known.sum()) < FEWEST:
            return lambda rows: np.zeros(len(rows))
        logs = np.log(seen.seconds[known])
        weights = posterior(self._features(seen.rows[known]), logs - logs.mean(), np.ones(len(logs)), RIDGE).mean

        def predict(rows: Array) -> Array:
            # Extrapolations are limited to a factor of two beyond the observed times.
            predicted = self._features(rows) @ weights + logs.mean()
            clipped: Array = np.clip(predicted, logs.min() - np.log(2.0), logs.max() + np.log(2.0))
            return clipped

        return predict

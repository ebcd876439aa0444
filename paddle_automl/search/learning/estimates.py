"""Estimates of the true costs of configurations from their noisy runs and from those of similar configurations."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from paddle_automl.search.learning.columns import Array, Indices
from paddle_automl.search.learning.encoding import Encoding
from paddle_automl.search.learning.gaussian_process import GaussianProcess, fit
from paddle_automl.search.learning.rewards import even_out
from paddle_automl.space import Params

FEWEST = 10
"""Configurations below which nothing is estimated: a model of fewer is a guess."""
MOST = 200
"""Most configurations that are fitted: those with the best first runs, and the baseline."""
MODEL_RUNS = 1.0
"""Runs that the model's opinion of a configuration counts for."""
ITERATIONS = 30


@dataclass(frozen=True)
class Estimates:
    """Estimated costs [N] in even units, the noise of a single run in the same, and the number of runs [N].

    The best *observed* cost is partly luck. A Gaussian process over all configurations has seen how good their
    neighbours are; its mean counts as one more run, which takes most of the luck out of the best estimate. The
    scale is that of `even_out`; `original` leads back.
    """

    values: Array
    noise: float
    runs: Array
    _known: Array
    _even: Array

    def original(self, value: float) -> float:
        """Return an even cost in the units of the observed costs."""
        return float(np.interp(value, self._even, self._known))

    def error(self, one: int, other: int) -> float:
        """Return the standard deviation of the difference of two estimates, for two single runs that of one run."""
        return self.noise * float(np.sqrt((1.0 / self.runs[one] + 1.0 / self.runs[other]) / 2.0))


def estimate(encoding: Encoding, params: Sequence[Params], runs: Sequence[Sequence[float]]) -> Estimates | None:
    """Return the estimates of configurations from the costs of their runs, first run first.

    None if there are fewer than ten of them, or nothing to tell them apart.
    """
    first = np.array([costs[0] for costs in runs], dtype=float)
    if len(runs) < FEWEST or not len(encoding.free) or not float(np.ptp(first)) > 0.0:
        return None
    even = even_out(first)
    order = np.argsort(first, kind="stable")
    known, scale = first[order], even[order]
    chosen: Indices = np.sort(order[:MOST])
    rows: Array = np.stack([encoding.encode(one) for one in params])[:, encoding.free]
    categories: Any = encoding.categories[encoding.free]
    kernel = fit(rows[chosen], even[chosen], categories, ITERATIONS)
    model = GaussianProcess(categories, kernel, rows[chosen], even[chosen]).predict(rows)[0]
    sums = np.array([np.interp(costs, known, scale).sum() for costs in runs])
    counts = np.array([float(len(costs)) for costs in runs])
    values = (sums + MODEL_RUNS * model) / (counts + MODEL_RUNS)
    return Estimates(values, float(np.sqrt(kernel.noise)), counts, known, scale)

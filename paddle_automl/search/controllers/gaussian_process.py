"""Bayesian optimization with this package's Gaussian process for mixed and conditional spaces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.search.controllers._learner import Learner
from paddle_automl.search.controllers.base import CONTROLLERS
from paddle_automl.search.learning.acquisition import Maximizer, log_expected_improvement
from paddle_automl.search.learning.columns import Array, Indices
from paddle_automl.search.learning.gaussian_process import GaussianProcess, Kernel, fit
from paddle_automl.search.learning.observations import Observations
from paddle_automl.search.learning.rewards import even_out
from paddle_automl.search.learning.values import Features
from paddle_automl.search.objective import Objective
from paddle_automl.space import SearchSpace


@CONTROLLERS.register("gaussian_process")
class GaussianProcessController(Learner):
    """Fits a Gaussian process to all trials and proposes the point with the largest expected improvement.

    Snoek et al. 2012, arXiv 1206.2944. The kernel is a sum: main effects, which are the per-decision values that
    factored Q-learning learns, and a Matern 5/2 kernel with one length-scale per decision for all that decisions do
    together. Its parameters are at their posterior mode. Improvement is sought over the lowest predicted cost of
    the trials, because the lowest observed one is partly luck. Costs are made more normal by the transform of Yeo
    and Johnson (as in HEBO, Cowen-Rivers et al. 2020, arXiv 2012.03826), the logarithm of the expected improvement
    is maximised (Ament et al. 2023, arXiv 2310.20708). Running trials are assumed to end at their predicted mean.
    The kernel is refitted after every trial up to the 80th, then after every third, from the 160th on after every
    eighth.
    """

    knows_seconds = True

    class Config(PluginConfig):
        """Options of the Gaussian process."""

        initial_trials: int | None = Field(default=None, ge=1)
        """Trials of the Latin hypercube before the first fit; None: 6, up to 10 in a space of choices alone."""
        window: int = Field(default=300, ge=20)
        """Most trials that are fitted: the best half and the latest."""

    def __init__(self, config: Config, *, space: SearchSpace, objectives: Sequence[Objective], seed: int) -> None:
        super().__init__(config, space=space, objectives=objectives, seed=seed)
        self._features = Features(self.encoding)
        self._maximizer = Maximizer(self.encoding)
        self._kernel: tuple[bytes, Kernel] | None = None

    def learned(self, number: int, seen: Observations, rng: np.random.Generator) -> Array | None:
        """Return the untried row with the highest expected improvement."""
        free = self.encoding.free
        effects = self._features.effects
        chosen = _window(seen.costs, self.config.window)
        rows, costs = seen.rows[chosen], even_out(seen.costs[chosen])
        kernel = self._fitted(seen)
        process = GaussianProcess(self.encoding.categories[free], kernel, rows[:, free], costs, effects(rows))
        best = float(process.predict(rows[:, free], effects(rows))[0].min())
        if len(seen.pending):
            process = process.with_pending(costs, seen.pending[:, free], effects(seen.pending))
        seconds = self.log_seconds(seen)

        def score(points: Array) -> Array:
            # Improvement per second (Snoek et al. 2012, section 3.2) in a cost-aware search, else seconds is 0.
            gain = log_expected_improvement(*process.predict(points[:, free], effects(points)), best)
            return gain - seconds(points) + self.prior.bonus(points, len(seen))

        return self._maximizer(score, seen, rng)

    def _fitted(self, seen: Observations) -> Kernel:
        """Return the kernel of the last scheduled fit.

        It depends only on the trials up to that fit; the last kernel is cached for the next proposals.
        """
        count = len(seen) - len(seen) % _interval(len(seen))
        chosen = _window(seen.costs[:count], self.config.window)
        rows, costs = seen.rows[chosen], even_out(seen.costs[chosen])
        mark = rows.tobytes() + costs.tobytes()
        if self._kernel is None or self._kernel[0] != mark:
            free = self.encoding.free
            iterations = 30 if len(costs) < 100 else 15
            categories, effects = self.encoding.categories[free], self._features.effects(rows)
            self._kernel = (mark, fit(rows[:, free], costs, categories, iterations, effects))
        return self._kernel[1]


def _interval(count: int) -> int:
    return 1 if count < 80 else 3 if count < 160 else 8


def _window(costs: Array, size: int) -> Indices:
    """Return the numbers of the trials to fit, in order: the best half and the latest."""
    if len(costs) <= size:
        return np.arange(len(costs))
    best = np.argsort(costs, kind="stable")[: size // 2]
    others = np.setdiff1d(np.arange(len(costs)), best)
    return np.sort(np.concatenate([best, others[len(others) - (size - size // 2) :]]))

"""Quasi-random search: points that fill the space more evenly than random ones."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal

import numpy as np

from paddle_automl.core.schema import PluginConfig
from paddle_automl.core.seeds import generator
from paddle_automl.search.controllers.base import CONTROLLERS, Proposer
from paddle_automl.search.learning.encoding import Encoding
from paddle_automl.search.objective import Objective
from paddle_automl.search.records import History
from paddle_automl.space import Params, SearchSpace

LONGEST_SKIP = 64
"""Points that are skipped because they were tried, before points are drawn at random."""


@CONTROLLERS.register("quasi_random")
class QuasiRandom(Proposer):
    """Follows a scrambled low-discrepancy sequence, one dimension per decision.

    Sobol 1967 with the scrambling of Matousek 1998, or Halton 1960 with that of Owen 2017 (arXiv 1706.02808).
    Proposal n is point n; the coordinate of an inactive decision is not used.
    """

    class Config(PluginConfig):
        """Options of quasi-random search."""

        sequence: Literal["sobol", "halton"] = "sobol"
        """The sequence."""

    def __init__(self, config: Config, *, space: SearchSpace, objectives: Sequence[Objective], seed: int) -> None:
        super().__init__(config, space=space, objectives=objectives, seed=seed)
        self._encoding = Encoding(space)

    def propose(self, number: int, history: History) -> Params:
        """Return the point of this number, or the next one that was not tried."""
        rng = self.rng(number)
        points = self._points(number)
        return self.unseen(lambda: next(points, None) or self.space.sample(rng), history, rng)

    def _points(self, number: int) -> Iterator[Params]:
        # SciPy's module takes half a second to import and only this controller needs it.
        from scipy.stats import qmc

        sequence: Any = {"sobol": qmc.Sobol, "halton": qmc.Halton}[self.config.sequence]
        rng = generator(self.seed, "controller", self.name, "sequence")
        engine = sequence(self._encoding.width, scramble=True, seed=rng)
        if number:
            engine.fast_forward(number)
        for _ in range(LONGEST_SKIP):
            unit = np.minimum(engine.random(1), np.nextafter(1.0, 0.0))
            yield self._encoding.decode(self._encoding.settle(self._encoding.of_uniform(unit))[0])

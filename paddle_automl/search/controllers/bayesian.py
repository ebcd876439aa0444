"""Bayesian optimisation with scikit-optimize."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
from pydantic import Field

from paddle_automl.core.schema import PluginConfig
from paddle_automl.core.seeds import generator, integer_seed
from paddle_automl.search.controllers.base import CONTROLLERS, Proposer
from paddle_automl.search.learning.observations import one_cost, within_limits_first
from paddle_automl.search.objective import Objective
from paddle_automl.search.records import History
from paddle_automl.space import Choice, Decision, Integer, Params, Real, SearchSpace

RANDOM_CANDIDATES, LEADERS, CHANGES = 500, 5, 40
"""Numbers of candidates besides the optimizer's own: random ones, and changes of each of the best trials."""
PENDING_QUANTILE = 0.75
"""A running trial is assumed to end in the worse half, so that the next proposal differs from it."""


@CONTROLLERS.register("bayesian")
class Bayesian(Proposer):
    """Fits a surrogate model to all trials and proposes the point with the largest expected improvement.

    Snoek et al. 2012, "Practical Bayesian Optimization of Machine Learning Algorithms". The optimizer is
    rebuilt for each proposal from the history, so its state is the study itself. Failed trials count as the
    worst seen, those beyond a limit as worse than all within it, running ones as mediocre; several objectives are
    combined with random weights (ParEGO).
    """

    class Config(PluginConfig):
        """Options of Bayesian optimisation."""

        surrogate: Literal["GP", "RF", "ET", "GBRT"] = "GP"
        """Surrogate model: Gaussian process, random forest, extra trees, or gradient-boosted trees."""
        acquisition: Literal["EI", "LCB", "PI"] = "EI"
        """Acquisition function: expected improvement, lower confidence bound, or probability of improvement."""
        initial_trials: int = Field(default=10, ge=1)
        """Trials spread evenly over the space before the first fit."""
        window: int = Field(default=100, ge=10)
        """Most trials that are fitted (GP takes seconds beyond 100): the best half and the latest."""

    def __init__(self, config: Config, *, space: SearchSpace, objectives: Sequence[Objective], seed: int) -> None:
        super().__init__(config, space=space, objectives=objectives, seed=seed)
        self._encoding = _Encoding(space)

    def propose(self, number: int, history: History) -> Params:
        """Return the choices with the best acquisition value that were not tried yet."""
        rng = self.rng(number)
        if len(history.usable()) < self.config.initial_trials or not self._encoding.decisions:
            return self._initial(number, history, rng)
        points, costs = self._data(history, rng)
        optimizer = self._fitted(points, costs, number)
        return self._best_candidate(optimizer, float(costs.min()), history, rng)

    def _initial(self, number: int, history: History, rng: np.random.Generator) -> Params:
        """Return the next member of a Latin hypercube that depends only on the seed, then random ones."""
        designs: list[Params] = []
        if number < self.config.initial_trials and self._encoding.decisions:
            designs = [self._design()[number]]
        return self.unseen(lambda: designs.pop() if designs else self.space.sample(rng), history, rng)

    def _design(self) -> list[Params]:
        rng = generator(self.seed, "controller", self.name, "design")
        count, width = self.config.initial_trials, len(self._encoding.decisions)
        cells = np.stack([rng.permutation(count) for _ in range(width)], axis=1)
        unit = (cells + rng.random((count, width))) / count
        return [self._encoding.from_unit(row) for row in unit]

    def _data(self, history: History, rng: np.random.Generator) -> tuple[list[list[Any]], np.ndarray]:
        """Return points and transformed costs [N] of finished and running trials."""
        usable = history.usable()
        weights = rng.dirichlet(np.ones(len(self.objectives)))
        scalar = one_cost([observation.costs or () for observation in usable], list(weights), self.objectives)
        cost_of = {o.number: cost for o, cost in zip(usable, scalar, strict=True)}
        worst = float(scalar.max())
        params = [observation.params for observation in history.finished]
        costs = [cost_of.get(observation.number, worst) for observation in history.finished]
        chosen = _window(np.array(costs), self.config.window)
        pending = [float(np.quantile(scalar, PENDING_QUANTILE))] * len(history.running)
        kept = [params[index] for index in chosen] + list(history.running)
        values = _even_out(np.array([costs[index] for index in chosen] + pending))
        return [self._encoding.point(p) for p in kept], values

    def _fitted(self, points: list[list[Any]], costs: np.ndarray, number: int) -> Any:
        # scikit-optimize takes a second to import and only this controller needs it.
        from skopt import Optimizer

        seed = integer_seed(self.seed, "controller", self.name, number)
        surrogate = self.config.surrogate
        optimizer = Optimizer(
            self._encoding.dimensions(),
            base_estimator=_boosted_quantiles(seed) if surrogate == "GBRT" else surrogate,
            n_initial_points=0,
            acq_func=self.config.acquisition,
            random_state=seed,
            n_jobs=1,
        )
        if surrogate == "GP":
            # One start of the kernel's fit instead of three: all else together takes less time than one start.
            optimizer.base_estimator_.set_params(n_restarts_optimizer=0)
        with warnings.catch_warnings():
            # Users need no warnings about kernel parameters at their bounds or duplicate points.
            warnings.simplefilter("ignore")
            optimizer.tell(points, costs.tolist())
        return optimizer

    def _best_candidate(self, optimizer: Any, best: float, history: History, rng: np.random.Generator) -> Params:
        """Return the untried candidate with the best acquisition value.

        Candidates are the optimizer's own proposal, random points, and the best trials changed in one decision:
        the optimizer alone seldom searches close to the best, and may propose trials that were tried.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            drawn = [self._encoding.params(optimizer.ask())]
        drawn += [self.space.sample(rng) for _ in range(RANDOM_CANDIDATES)]
        usable = history.usable()
        leaders = sorted(usable, key=lambda o: within_limits_first(o.costs or (), self.objectives))[:LEADERS]
        drawn += [self._changed(leader.params, rng) for leader in leaders for _ in range(CHANGES)]
        seen = history.keys(self.space)
        by_key = {self.space.canonical_key(params): params for params in drawn}
        candidates = [params for key, params in by_key.items() if key not in seen]
        if not candidates:
            return self.unseen(lambda: self.space.sample(rng), history, rng)
        points = optimizer.space.transform([self._encoding.point(params) for params in candidates])
        scores = _acquisition(self.config.acquisition, points, optimizer.models[-1], best)
        return candidates[int(np.argmax(scores))]

    def _changed(self, params: Params, rng: np.random.Generator) -> Params:
        """Return choices with one decision drawn again, and the decisions that it activates."""
        active = [decision for decision in self.space.active(params) if decision.domain.size != 1]
        decision = active[int(rng.integers(len(active)))]
        return self.space.complete({**params, decision.name: decision.domain.sample(rng)}, rng)


def _acquisition(kind: str, points: np.ndarray, model: Any, best: float) -> np.ndarray:
    """Return the acquisition value [N] of encoded points [N, D]; larger is better."""
    from skopt.acquisition import gaussian_ei, gaussian_lcb, gaussian_pi

    scores: np.ndarray
    if kind == "LCB":
        scores = -gaussian_lcb(points, model)
    elif kind == "PI":
        scores = gaussian_pi(points, model, best)
    else:
        scores = gaussian_ei(points, model, best)
    return scores


class _Encoding:
    """Converts trials' choices to points of scikit-optimize and back.

    A point has a coordinate for every decision with more than one value. Choices and stepped numbers are
    their positions; an inactive decision has a fixed value, so that points do not differ in it.
    """

    def __init__(self, space: SearchSpace) -> None:
        self.space = space
        self.decisions: list[Decision] = [d for d in space.decisions if d.domain.size != 1]

    def dimensions(self) -> list[Any]:
        """Return the dimensions of scikit-optimize."""
        from skopt.space import Categorical
        from skopt.space import Integer as WholeNumber
        from skopt.space import Real as Number

        dimensions: list[Any] = []
        for decision in self.decisions:
            domain = decision.domain
            if isinstance(domain, Choice):
                # Positions as texts: a NumPy array of mixed options would turn numbers into texts.
                dimensions.append(Categorical([str(index) for index in range(len(domain.options))]))
            elif isinstance(domain, Integer) and domain.step is None:
                prior = "log-uniform" if domain.log else "uniform"
                dimensions.append(WholeNumber(domain.low, domain.high, prior=prior))
            elif isinstance(domain, Real) and domain.step is None:
                prior = "log-uniform" if domain.log else "uniform"
                dimensions.append(Number(domain.low, domain.high, prior=prior))
            else:
                dimensions.append(WholeNumber(0, (domain.size or 1) - 1))
        return dimensions

    def point(self, params: Mapping[str, Any]) -> list[Any]:
        """Return the coordinates of choices."""
        coordinates: list[Any] = []
        for decision in self.decisions:
            domain = decision.domain
            value = params.get(decision.name, domain.ends()[0])
            if isinstance(domain, Choice):
                coordinates.append(str(domain.index(value)))
            elif isinstance(domain, Integer | Real) and domain.step is not None:
                coordinates.append(round((float(str(value)) - domain.low) / domain.step))
            else:
                coordinates.append(value)
        return coordinates

    def params(self, point: Sequence[Any]) -> Params:
        """Return the choices at a point."""
        values: Params = {}
        for decision, coordinate in zip(self.decisions, point, strict=True):
            domain = decision.domain
            if isinstance(domain, Choice):
                values[decision.name] = domain.stored[int(coordinate)]
            elif isinstance(domain, Integer | Real) and domain.step is not None:
                values[decision.name] = domain.values(1)[int(coordinate)]
            elif isinstance(domain, Integer):
                values[decision.name] = int(coordinate)
            else:
                values[decision.name] = float(coordinate)
        return self.space.complete(values)

    def from_unit(self, unit: np.ndarray) -> Params:
        """Return the choices at a point [D] of the unit cube, uniform in each decision's own scale."""
        values: Params = {}
        for decision, position in zip(self.decisions, unit, strict=True):
            values[decision.name] = decision.domain.at(float(position))
        return self.space.complete(values)


def _boosted_quantiles(seed: int) -> Any:
    """Return scikit-optimize's "GBRT" surrogate.

    The order of its base classes makes scikit-learn 1.7 and later conclude that it is not a regressor, and the
    optimizer then refuses it.
    """
    from sklearn.base import BaseEstimator
    from sklearn.ensemble import GradientBoostingRegressor
    from skopt.learning import GradientBoostingQuantileRegressor

    class BoostedQuantiles(GradientBoostingQuantileRegressor):
        def __sklearn_tags__(self) -> Any:
            tags = BaseEstimator.__sklearn_tags__(self)
            tags.estimator_type = "regressor"
            return tags

    base = GradientBoostingRegressor(n_estimators=30, loss="quantile")
    return BoostedQuantiles(base_estimator=base, random_state=seed)


def _window(costs: np.ndarray, size: int) -> list[int]:
    """Return the indices of the trials to fit, in order: the best half and the latest."""
    if len(costs) <= size:
        return list(range(len(costs)))
    best = np.argsort(costs, kind="stable")[: size // 2].tolist()
    latest = [index for index in reversed(range(len(costs))) if index not in set(best)]
    return sorted([*best, *latest[: size - len(best)]])


def _even_out(costs: np.ndarray) -> np.ndarray:
    """Return standardised costs [N] without heavy tails (Yeo and Johnson 2000)."""
    from scipy.stats import yeojohnson

    spread = float(costs.std())
    if spread < 1e-12:
        return np.zeros_like(costs)
    standard = (costs - costs.mean()) / spread
    even, _ = yeojohnson(standard)
    result: np.ndarray = even if np.isfinite(even).all() and even.std() > 1e-9 else standard
    return result

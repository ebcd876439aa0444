"""Optimizers of other projects with an ask-and-tell interface, if they are installed: SMAC3 and HEBO."""

from __future__ import annotations

import math
import tempfile
import warnings
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import numpy as np
import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.seeds import integer_seed
from paddle_automl.space import Choice, Domain, Integer, Params, Real, SearchSpace
from paddle_automl.space.domains import is_number


@dataclass(frozen=True)
class Variable:
    """A decision in the form of other projects: a number from `low` to `high`, or one of `options`, by position.

    `whole` numbers and options with an order are positions or values to interpolate between.
    """

    name: str
    low: float
    high: float
    whole: bool = True
    log: bool = False
    ordered: bool = True
    options: tuple[Any, ...] = ()

    @classmethod
    def of(cls, number: int, domain: Domain) -> Variable:
        """Return the variable of decision `number`; its name is the same in every project."""
        name = f"d{number}"
        if isinstance(domain, Integer | Real) and domain.step is None and domain.low < domain.high:
            whole = isinstance(domain, Integer)
            return cls(name, float(domain.low), float(domain.high), whole, domain.log)
        options = tuple(domain.values(1)) if isinstance(domain, Integer | Real) else tuple(_options(domain))
        ordered = len(options) > 2 and all(is_number(option) for option in options)
        return cls(name, 0, len(options) - 1, ordered=ordered, options=options)

    def value(self, drawn: Any) -> Any:
        """Return the stored value for an optimizer's value."""
        if self.options:
            return self.options[int(drawn)]
        return int(drawn) if self.whole else float(drawn)


class Foreign(BaseSampler):
    """An optimizer with an ask-and-tell interface as a sampler for one run; it receives every trial, in order.

    A failed trial is reported with the worst cost so far. Raises ConfigError if the package is missing.
    """

    package: ClassVar[str]

    def __init__(self, space: SearchSpace, trials: int, seed: int) -> None:
        self.space = space
        self.variables = {d.name: Variable.of(i, d.domain) for i, d in enumerate(space.decisions)}
        self._worst = 0.0
        self._start(trials, integer_seed(seed, "benchmark", self.package))

    @abstractmethod
    def _start(self, trials: int, seed: int) -> None:
        """Create the optimizer for a run of `trials` trials."""

    @abstractmethod
    def _ask(self) -> Mapping[str, Any]:
        """Return the next values by variable, possibly including inactive ones."""

    @abstractmethod
    def _tell(self, cost: float) -> None:
        """Report the cost of the last values."""

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return all decisions: they are taken at once."""
        return self.space.distributions

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the optimizer's next choices."""
        with warnings.catch_warnings():
            # Warnings of other projects' numerics, which would appear between the lines of the progress.
            warnings.simplefilter("ignore")
            drawn = self._ask()
        chosen: Params = {}
        for decision in self.space.decisions:
            if decision.condition is None or decision.condition.holds(chosen):
                variable = self.variables[decision.name]
                chosen[decision.name] = decision.domain.clean(variable.value(drawn[variable.name]))
        return dict(chosen)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Refuse: the values are complete."""
        raise RuntimeError(f"'{param_name}' was not decided by {self.package}")

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Report the end of the trial to the optimizer."""
        usable = values is not None and math.isfinite(values[0])
        cost = float(values[0]) if usable and values is not None else self._worst
        self._worst = cost if trial.number == 0 else max(self._worst, cost)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._tell(cost)


class Smac(Foreign):
    """SMAC3's facade for hyperparameters: a random forest and log-EI (Lindauer et al. 2022, arXiv 2109.09831).

    Its initial design depends on the number of trials. It handles conditions. The model is fitted after every
    trial, as in its authors' sampler for Optuna.
    """

    package = "smac"
    facade: ClassVar[str] = "HyperparameterOptimizationFacade"
    retrain_after: ClassVar[int] = 1
    """Trials between two fits of the model."""

    def _start(self, trials: int, seed: int) -> None:
        smac, self._runs = imported("smac", "smac"), imported("smac", "smac.runhistory.dataclasses")
        configs = imported("smac", "ConfigSpace")
        space = configs.ConfigurationSpace(seed=seed)
        made = {name: self._parameter(configs, variable) for name, variable in self.variables.items()}
        space.add(list(made.values()))
        for decision in self.space.decisions:
            if decision.condition is not None:
                parent = self.variables[decision.condition.decision]
                places = [
                    parent.options.index(value) if parent.options else value for value in decision.condition.values
                ]
                space.add(configs.InCondition(made[decision.name], made[decision.condition.decision], places))
        # It writes its runs into a folder, which is deleted with this object.
        self._folder = tempfile.TemporaryDirectory()
        scenario = smac.Scenario(
            space, deterministic=True, n_trials=trials, seed=seed, output_directory=self._folder.name
        )
        facade = getattr(smac, self.facade)
        # With ask and tell from outside it never calls the function.
        self._optimizer = facade(
            scenario,
            lambda config, seed=0: 0.0,
            config_selector=facade.get_config_selector(scenario, retrain_after=self.retrain_after),
            overwrite=True,
            logging_level=50,
        )

    @staticmethod
    def _parameter(configs: Any, variable: Variable) -> Any:
        if variable.options and not variable.ordered:
            return configs.CategoricalHyperparameter(variable.name, list(range(len(variable.options))))
        if variable.whole:
            bounds = int(variable.low), int(variable.high)
            return configs.UniformIntegerHyperparameter(variable.name, *bounds, log=variable.log)
        return configs.UniformFloatHyperparameter(variable.name, variable.low, variable.high, log=variable.log)

    def _ask(self) -> Mapping[str, Any]:
        self._asked = self._optimizer.ask()
        return dict(self._asked.config)

    def _tell(self, cost: float) -> None:
        self._optimizer.tell(self._asked, self._runs.TrialValue(cost=cost), save=False)


class SmacAsInstalled(Smac):
    """The same as its facade sets it: the model is fitted after every eighth trial, made for trials in batches."""

    retrain_after = 8


class SmacBlackBox(Smac):
    """SMAC3's facade for numbers: a Gaussian process and EI."""

    facade = "BlackBoxFacade"


class Hebo(Foreign):
    """HEBO: a Gaussian process over transformed inputs and costs (Cowen-Rivers et al. 2020, arXiv 2012.03826).

    It does not handle conditions. It also draws from the global generators of NumPy and PyTorch, so two runs with
    one seed may differ.
    """

    package = "hebo"

    def _start(self, trials: int, seed: int) -> None:
        optimizers = imported("HEBO", "hebo.optimizers.hebo")
        spaces = imported("HEBO", "hebo.design_space.design_space")
        space = spaces.DesignSpace().parse([self._parameter(variable) for variable in self.variables.values()])
        self._optimizer = optimizers.HEBO(space, scramble_seed=seed)

    @staticmethod
    def _parameter(variable: Variable) -> dict[str, Any]:
        if variable.options and not variable.ordered:
            return {"name": variable.name, "type": "cat", "categories": list(range(len(variable.options)))}
        kind = ("pow_int" if variable.whole else "pow") if variable.log else "int" if variable.whole else "num"
        return {"name": variable.name, "type": kind, "lb": variable.low, "ub": variable.high}

    def _ask(self) -> Mapping[str, Any]:
        self._asked = self._optimizer.suggest(n_suggestions=1)
        return dict(self._asked.iloc[0])

    def _tell(self, cost: float) -> None:
        self._optimizer.observe(self._asked, np.array([[cost]]))


def imported(package: str, module: str) -> Any:
    """Return a module of another project; raises ConfigError if it is not installed."""
    try:
        return import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"--controllers: cannot import {module} ({error}); install it (pip install {package}) or leave it out"
        ) from None


def _options(domain: Domain) -> Sequence[Any]:
    if not isinstance(domain, Choice):
        raise TypeError(f"no options in {domain.describe()}")
    numbers = [value for value in domain.stored if is_number(value)]
    ordered = len(numbers) == len(domain.stored) >= 3
    return sorted(domain.stored, key=lambda value: float(str(value))) if ordered else domain.stored

"""Samplers of Optuna and of OptunaHub's registry for the comparison, with the settings of their authors.

A sampler sees the decisions as its authors would state them: whole numbers and choices of three or more numbers
have their order, and a conditional decision is suggested only while it is active.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler

from paddle_automl.benchmarks.search.foreign import Foreign, Variable, imported
from paddle_automl.core.errors import ConfigError
from paddle_automl.search.quiet import quiet_optuna

REGISTRY = "PADDLE_AUTOML_OPTUNAHUB"
"""Environment variable with the folder of a copy of OptunaHub's registry, for all processes of a comparison."""


class InnerStudy(Foreign):
    """A sampler in a study of its own, over decisions in the form that it handles best."""

    package = "optuna"
    conditional: ClassVar[bool] = True
    """Whether it handles spaces in which a decision is not always active."""

    def _start(self, trials: int, seed: int) -> None:
        self._forms = {variable.name: _form(variable) for variable in self.variables.values()}
        with quiet_optuna():
            self._study = optuna.create_study(direction="minimize", sampler=self.sampler(seed))

    @abstractmethod
    def sampler(self, seed: int) -> BaseSampler:
        """Return the sampler."""

    def _ask(self) -> Mapping[str, Any]:
        with quiet_optuna():
            self._trial = self._study.ask()
            drawn: dict[str, Any] = {}
            chosen: dict[str, Any] = {}
            for decision in self.space.decisions:
                active = decision.condition is None or decision.condition.holds(chosen)
                variable = self.variables[decision.name]
                if active or not self.conditional:
                    drawn[variable.name] = _suggested(self._trial, variable)
                if active:
                    chosen[decision.name] = decision.domain.clean(variable.value(drawn[variable.name]))
            return drawn

    def _tell(self, cost: float) -> None:
        self._study.tell(self._trial, cost)


class OrderedTpe(InnerStudy):
    """Optuna's default sampler, TPE, when ordered choices are given to it as whole numbers."""

    def sampler(self, seed: int) -> BaseSampler:
        """Return the sampler with its default settings."""
        return optuna.samplers.TPESampler(seed=seed)


class HubAuto(InnerStudy):
    """OptunaHub's AutoSampler: a Gaussian process, TPE where there are categories or conditions."""

    package = "auto_sampler"

    def sampler(self, seed: int) -> BaseSampler:
        """Return the sampler with its default settings."""
        return _from_hub(self.package, "AutoSampler", seed=seed)


class HubHierarchicalTpe(InnerStudy):
    """OptunaHub's hierarchical TPE, which samples conditional decisions given those that they depend on.

    It learns the conditions from the trials. On spaces with repeated items some runs end in an IndexError of its
    own, whether it learns them or has them stated. It is made for Optuna 4.8: Optuna 5 refuses an option that it
    passes on.
    """

    package = "hierarchical_tpe"

    def sampler(self, seed: int) -> BaseSampler:
        """Return the sampler with its default settings."""
        return _from_hub(self.package, "HierarchicalTPESampler", seed=seed)


class HubConfOpt(InnerStudy):
    """ConfOpt's conformal quantile regression by its author's sampler (Doyle 2025, arXiv 2509.17051).

    It does not handle conditions. It also draws from the global generators of Python and NumPy.
    """

    package = "confopt_sampler"
    conditional = False

    def sampler(self, seed: int) -> BaseSampler:
        """Return the sampler with its default settings."""
        imported("confopt", "confopt")
        return _from_hub(self.package, "ConfOptSampler", seed=seed, search_space=self._forms)


def _suggested(trial: optuna.Trial, variable: Variable) -> Any:
    if variable.options and not variable.ordered:
        return trial.suggest_categorical(variable.name, tuple(range(len(variable.options))))
    if variable.whole:
        return trial.suggest_int(variable.name, int(variable.low), int(variable.high), log=variable.log)
    return trial.suggest_float(variable.name, variable.low, variable.high, log=variable.log)


def _form(variable: Variable) -> BaseDistribution:
    if variable.options and not variable.ordered:
        return CategoricalDistribution(tuple(range(len(variable.options))))
    if variable.whole:
        return IntDistribution(int(variable.low), int(variable.high), log=variable.log)
    return FloatDistribution(variable.low, variable.high, log=variable.log)


def _from_hub(package: str, name: str, **options: Any) -> BaseSampler:
    """Return a sampler of the registry: of its copy on this machine if one was given, else loaded from the web."""
    hub = imported("optunahub", "optunahub")
    folder = os.environ.get(REGISTRY)
    try:
        if folder:
            module = hub.load_local_module(f"samplers/{package}", registry_root=str(Path(folder) / "package"))
        else:
            module = hub.load_module(f"samplers/{package}")
        sampler: BaseSampler = getattr(module, name)(**options)
        return sampler
    except (ImportError, OSError) as error:
        missing = f"give a copy of the registry (github.com/optuna/optunahub-registry) with --registry DIR: {error}"
    except Exception as error:  # noqa: BLE001  the web client's own errors, which cannot be named without it
        missing = f"{type(error).__name__}: {error}"
    raise ConfigError(f"--controllers: cannot load OptunaHub's {package}; {missing}")

"""Any of Optuna's own samplers."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

import optuna
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.trial import FrozenTrial, TrialState
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from paddle_automl.core.errors import TrialError, unknown_name
from paddle_automl.core.schema import PluginConfig
from paddle_automl.core.seeds import integer_seed
from paddle_automl.search.controllers.base import CONTROLLERS, Controller
from paddle_automl.search.objective import excess_of, values_of
from paddle_automl.search.quiet import quiet_optuna
from paddle_automl.search.records import proposal_number

EXHAUSTIVE = {"GridSampler", "BruteForceSampler"}
"""Samplers that try everything and then stop Optuna's own loop, which is not used here."""
NOT_ALONE = {"BaseSampler", "BaseGASampler", "PartialFixedSampler", *EXHAUSTIVE}
"""Classes that cannot be used, most because they need objects which YAML cannot express."""
NEEDS = {"CmaEsSampler": "cmaes", "GPSampler": "torch"}
"""Packages that Optuna imports only when such a sampler proposes."""
ONE_SEQUENCE = {"QMCSampler"}
"""Samplers whose points form one sequence, which a new seed for each trial would break."""


@CONTROLLERS.register("optuna")
class OptunaSampler(Controller):
    """Uses a sampler of Optuna; by default TPE, the tree-structured Parzen estimator.

    The sampler is created again for each trial with its own seed, so a continued search draws the same numbers as
    an uninterrupted one. Limits of objectives are constraints for it; a sampler that takes none ignores them.
    """

    class Config(PluginConfig):
        """Options of Optuna's samplers."""

        sampler: str = "TPESampler"
        """Class in optuna.samplers."""
        options: dict[str, Any] = Field(default_factory=dict)
        """Keyword arguments of that class, without its seed."""

        @model_validator(mode="after")
        def _can_be_made(self) -> OptunaSampler.Config:
            valid = [n for n in optuna.samplers.__all__ if n.endswith("Sampler") and n not in NOT_ALONE]
            if self.sampler in EXHAUSTIVE:
                raise PydanticCustomError(
                    "stated", f"{self.sampler} cannot be used; the controller grid tries everything in the space"
                )
            if self.sampler not in valid:
                raise PydanticCustomError("stated", unknown_name("sampler of Optuna", self.sampler, valid))
            package = NEEDS.get(self.sampler)
            if package is not None and find_spec(package) is None:
                raise PydanticCustomError("stated", f"{self.sampler} needs the package '{package}': install it")
            if "seed" in self.options:
                raise PydanticCustomError("stated", "options must not hold seed; the seed of the run is used")
            try:
                _make(self.sampler, self.options, 0)
            except (TypeError, ValueError, ImportError) as error:
                raise PydanticCustomError("stated", f"{self.sampler} cannot be made: {error}") from None
            return self

    _sampler: BaseSampler

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Make the trial's sampler, and tell it by how much the trials exceed the limits."""
        self._constrain(study)
        self._sampler = self._for(study, trial)
        self._sampler.before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """Return the decisions that the sampler takes at once."""
        return self._sampler.infer_relative_search_space(study, trial)

    def sample_relative(
        self, study: optuna.Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """Return the sampler's values for these decisions."""
        return self._sampler.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """Return one further decision."""
        return self._sampler.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """Let the sampler record the result."""
        self._for(study, trial).after_trial(study, trial, state, values)

    def _for(self, study: optuna.Study, trial: FrozenTrial) -> BaseSampler:
        number: int | str = proposal_number(study.get_trials(deepcopy=False), trial.number)
        if self.config.sampler in ONE_SEQUENCE:
            number = "sequence"
        seed = integer_seed(self.seed, "controller", self.name, number)
        return _make(self.config.sampler, self.config.options, seed)

    def _constrain(self, study: optuna.Study, *, key: str = "constraints:limits") -> None:
        """Give each ended trial its excess over the limits, where samplers look for it (`FrozenTrial.constraints`).

        It is not stored: a search may be continued with other limits, or from trials of another controller.
        """
        limited = any(objective.limit is not None for objective in self.objectives)
        for trial in study.get_trials(deepcopy=False, states=(TrialState.COMPLETE, TrialState.PRUNED)):
            if limited:
                trial.system_attrs[key] = self._excess(trial.user_attrs.get("metrics", {}))
            else:
                trial.system_attrs.pop(key, None)

    def _excess(self, metrics: dict[str, float]) -> float:
        try:
            return excess_of(values_of(metrics, self.objectives), self.objectives)
        except TrialError:
            # A network that was not trained, because it was beyond a constraint of the search.
            return 1.0


def _make(name: str, options: dict[str, Any], seed: int) -> BaseSampler:
    cls = getattr(optuna.samplers, name)
    if "seed" in inspect.signature(cls).parameters:
        options = {**options, "seed": seed}
    with quiet_optuna():
        sampler: BaseSampler = cls(**options)
        return sampler

"""The contract of controllers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from paddle_automl.search.config import SearchConfig
from paddle_automl.search.controllers.base import Controller, Proposer
from paddle_automl.search.objective import Objective
from paddle_automl.search.records import History, Observation, TrialRecord
from paddle_automl.search.study import Study
from paddle_automl.space import Params, SearchSpace
from paddle_automl.testing.options import check_options, config_of

SPACE = SearchSpace.parse(
    {
        "net": {"wide": {"width": {"choice": [8, 16, None]}, "depth": {"int": [1, 9]}}, "plain": {}},
        "rate": {"log": [1e-4, 1.0]},
        "drop": {"float": [0, 0.5], "step": 0.1},
        "flags": {"choice": [True, "yes", [1, 2]]},
    }
)
"""Choices with their own decisions, numbers of each kind, values of several types."""
SMALL = SearchSpace.parse({"a": {"choice": [1, 2, 3]}, "b": {"choice": ["x", "y"]}})
ONE = SearchSpace.parse({"a": {"choice": [5]}, "b": {"int": [3, 3]}})
ACCURACY = SearchConfig().objectives
TWO = SearchConfig.model_validate({"objectives": [{"metric": "accuracy"}, {"metric": "parameters"}]}).objectives
MOST = 100
"""Number of proposals that must cover a space of six members; this many independent draws miss one of them once in
ten million times."""


class ControllerContract:
    """Tests of a controller: parametrize `plugin` with its class; `options` are its required options, if any.

    Choose options that make it fast, such as few initial trials.
    """

    options: ClassVar[dict[str, Any]] = {}
    seeded: ClassVar[bool] = True
    """Whether another seed gives other proposals."""
    repeats: ClassVar[bool] = False
    """Whether it may repeat a proposal although other ones are left."""

    def make(
        self,
        plugin: type[Controller],
        *,
        space: SearchSpace = SPACE,
        objectives: tuple[Objective, ...] = ACCURACY,
        seed: int = 0,
    ) -> Controller:
        """Return a new controller."""
        return plugin(config_of(plugin, self.options), space=space, objectives=objectives, seed=seed)

    def proposals(
        self,
        plugin: type[Controller],
        folder: Path,
        count: int,
        *,
        fresh: bool = False,
        running: int = 0,
        **made: Any,
    ) -> list[Params]:
        """Return the proposals of a search in which some trials fail or are stopped.

        `fresh` uses a new controller for each of them; `running` is the number of trials at a time; `made` are
        arguments of `make`.
        """
        space, objectives = made.get("space", SPACE), made.get("objectives", ACCURACY)
        found: list[Params] = []
        started: list[TrialRecord] = []
        own = self.make(plugin, **made)
        with Study.open(folder / "study.db", space=space, objectives=objectives, identity={}) as study:
            while len(found) < count:
                record = study.ask(self.make(plugin, **made) if fresh else own)
                assert space.contains(record.params)
                found.append(record.params)
                if record.duplicate_of is None:
                    started.append(record)
                if len(started) > running:
                    first = started.pop(0)
                    end(study, first, value_of(first.params))
        return found

    def test_options_are_described(self, plugin: type[Controller]) -> None:
        """Class and options have a docstring."""
        check_options(plugin)

    def test_proposals_are_a_function_of_seed_and_history(self, plugin: type[Controller], tmp_path: Path) -> None:
        """A killed search continues as if it had not been killed."""
        kept = self.proposals(plugin, tmp_path / "kept", 7)
        fresh = self.proposals(plugin, tmp_path / "fresh", 7, fresh=True)
        assert json.dumps(fresh) == json.dumps(kept), (
            "a new controller proposes other trials than one that was kept"
        )
        if self.seeded:
            other = self.proposals(plugin, tmp_path / "seed", 3, seed=1)
            assert other != kept[:3], "another seed gives the same proposals; if intended, set seeded = False"

    def test_running_trials_are_no_obstacle(self, plugin: type[Controller], tmp_path: Path) -> None:
        """Several workers ask for proposals before the results of earlier ones are known."""
        proposals = self.proposals(plugin, tmp_path, 8, running=2)
        if not self.repeats:
            keys = {SPACE.canonical_key(params) for params in proposals}
            assert len(keys) == len(proposals), "a proposal is repeated; if it may, set repeats = True"

    def test_several_objectives(self, plugin: type[Controller], tmp_path: Path) -> None:
        """Any search may have several objectives."""
        assert len(self.proposals(plugin, tmp_path, 7, objectives=TWO)) == 7

    def test_a_small_space_comes_to_an_end(self, plugin: type[Controller], tmp_path: Path) -> None:
        """The search ends when every possible proposal has been tried."""
        own = self.make(plugin, space=SMALL)
        with Study.open(tmp_path / "study.db", space=SMALL, objectives=ACCURACY, identity={}) as study:
            asked = 0
            while not study.exhausted(own):
                assert asked < MOST, f"the space of 6 is not exhausted after {MOST} proposals"
                record = study.ask(own)
                asked += 1
                if record.duplicate_of is None:
                    study.complete(record.number, {"accuracy": value_of(record.params)}, {})
        assert asked > 0
        if issubclass(plugin, Proposer) and not self.repeats:
            assert asked <= 6, f"{asked} proposals in a space of 6; if it may repeat some, set repeats = True"

    def test_one_value_is_a_space_too(self, plugin: type[Controller], tmp_path: Path) -> None:
        """A space with one value has only one proposal."""
        assert self.proposals(plugin, tmp_path, 2, space=ONE) == [{"a": 5, "b": 3}] * 2

    def test_a_history_of_failures_only(self, plugin: type[Controller]) -> None:
        """A history without results must not cause an error."""
        rng = np.random.default_rng(0)
        failed = tuple(Observation(number, SPACE.sample(rng), None) for number in range(15))
        assert SPACE.contains(self._proposer(plugin).propose(15, History(failed)))

    def test_equal_costs_and_extreme_costs(self, plugin: type[Controller]) -> None:
        """Models of the costs must handle both."""
        rng = np.random.default_rng(0)
        params = [SPACE.sample(rng) for _ in range(12)]
        for costs in ([1.0] * 12, [10.0**power for power in range(-6, 30, 3)]):
            pairs = enumerate(zip(params, costs, strict=True))
            history = History(tuple(Observation(number, choice, (cost,)) for number, (choice, cost) in pairs))
            assert SPACE.contains(self._proposer(plugin).propose(12, history))

    def _proposer(self, plugin: type[Controller]) -> Proposer:
        own = self.make(plugin)
        if not isinstance(own, Proposer):
            pytest.skip("an external sampler is only asked by a study")
        return own


def value_of(params: Params) -> float:
    """Return an artificial accuracy."""
    rate, drop = params.get("rate"), params.get("drop")
    if not isinstance(rate, float) or not isinstance(drop, float):
        return 0.5
    return 0.5 - 0.1 * abs(float(np.log10(rate)) + 2) + 0.3 * drop


def end(study: Study, record: TrialRecord, accuracy: float) -> None:
    """End a trial: some fail, some are stopped early."""
    metrics = {"accuracy": accuracy, "parameters": float(record.number % 7)}
    if record.number % 5 == 3:
        study.fail(record.number, "diverged")
    elif record.number % 5 == 4:
        half = accuracy / 2
        study.prune(record.number, {**metrics, "accuracy": half}, {1: half}, "stopped")
    else:
        study.complete(record.number, metrics, {1: accuracy})

"""One run of the comparison: a controller searches a task through Optuna's ask and tell."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import optuna
from optuna.samplers import BaseSampler
from optuna.trial import TrialState
from pydantic import ValidationError

from paddle_automl.benchmarks.search.peers import PEERS
from paddle_automl.benchmarks.search.task import Task
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig, issues_of
from paddle_automl.core.seeds import generator
from paddle_automl.core.yaml_io import parse_value
from paddle_automl.search.controllers.base import CONTROLLERS
from paddle_automl.search.learning.encoding import Encoding
from paddle_automl.search.learning.estimates import estimate
from paddle_automl.search.learning.final_choice import next_repeat, repeats, winner
from paddle_automl.search.objective import Objective
from paddle_automl.search.quiet import quiet_optuna
from paddle_automl.space import Params

T = TypeVar("T")

OBJECTIVE = Objective(metric="loss", goal="minimize")
DUPLICATES_IN_A_ROW = 20
"""As in a real search, which ends after this many known proposals."""
SHORT = {"tpe": "optuna:sampler=TPESampler", "random": "random_search"}


def plugin_config(registry: Registry[T], text: str, where: str) -> tuple[type[T], PluginConfig]:
    """Return class and options of ``name`` or ``name:option=value+option=value``.

    Raises ConfigError for an unknown name or option; `where` is the command's argument.
    """
    name, _, rest = text.partition(":")
    options = dict(part.split("=", 1) for part in rest.split("+") if "=" in part)
    if rest and len(options) != len(rest.split("+")):
        raise ConfigError(f"{where}: '{text}' must be written as name:option=value+option=value")
    try:
        cls = registry[name]
        values = {key: parse_value(value) for key, value in options.items()}
        config: PluginConfig = cls.Config.model_validate({"name": name, **values})  # type: ignore[attr-defined]
    except ConfigError as error:
        raise ConfigError(f"{where}: {error}") from None
    except ValidationError as error:
        raise ConfigError([f"{where}: '{text}': {issue}" for issue in issues_of(error)]) from None
    return cls, config


def controller_of(text: str, task: Task, seed: int, trials: int = 100) -> BaseSampler:
    """Return a controller (`plugin_config`), or another project's optimizer for a run of `trials` trials.

    ``tpe`` and ``random`` are short for Optuna's default sampler and for random search.
    """
    if text in PEERS:
        return PEERS[text](task.space, trials, seed)
    cls, config = plugin_config(CONTROLLERS, SHORT.get(text, text), "--controllers")
    return cls(config, space=task.space, objectives=(OBJECTIVE,), seed=seed)


@dataclass
class Trace:
    """The history of a run: different configurations in order, their observed costs, and the runs of the table."""

    params: list[Params] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    runs: list[int] = field(default_factory=list)
    seconds: float = 0.0
    asked: int = 0

    def best(self, count: int) -> int | None:
        """Return the position of the best observation among the first `count`."""
        usable = [i for i in range(min(count, len(self.costs))) if math.isfinite(self.costs[i])]
        return min(usable, key=lambda i: self.costs[i]) if usable else None


def play(task: Task, controller: BaseSampler, trials: int, seed: int, first: Params | None = None) -> Trace:
    """Return the history of `controller` with `trials` evaluations, which begin with `first` if it is given.

    As in a real search a configuration that was evaluated before gets its known result and is not counted; after 20
    such results in a row the run ends. A missing or non-finite cost is a failed trial.
    """
    trace = Trace()
    known: dict[str, int] = {}
    rng = generator(seed, "benchmark", task.name, "noise")
    size = task.space.size()
    in_a_row = 0
    with quiet_optuna():
        study = optuna.create_study(direction="minimize", sampler=controller)
        if first is not None:
            study.enqueue_trial(first)
        while len(trace.costs) < trials and in_a_row < DUPLICATES_IN_A_ROW:
            if size is not None and len(known) >= size:
                break
            begun = time.process_time()
            trial = study.ask()
            params = _suggested(task, trial)
            trace.seconds += time.process_time() - begun
            trace.asked += 1
            key = task.space.canonical_key(params)
            original = known.get(key)
            if original is None:
                in_a_row = 0
                known[key] = len(trace.costs)
                seen = task.observe(params, rng, ())
                trace.params.append(params)
                trace.costs.append(seen.cost)
                trace.runs.append(seen.run)
                cost = seen.cost
            else:
                in_a_row += 1
                trial.set_user_attr("duplicate_of", original)
                cost = trace.costs[original]
            begun = time.process_time()
            if math.isfinite(cost):
                study.tell(trial, cost)
            else:
                study.tell(trial, state=TrialState.FAIL)
            trace.seconds += time.process_time() - begun
    return trace


def _suggested(task: Task, trial: optuna.Trial) -> Params:
    params: Params = {}
    for decision in task.space.decisions:
        if decision.condition is None or decision.condition.holds(params):
            params[decision.name] = decision.domain.suggest(trial, decision.name)
    return params


def choose(task: Task, trace: Trace, budget: int, seed: int) -> int | None:
    """Return the chosen position if the end of the budget is used for repeats of the best few."""
    searched = budget - repeats(budget)
    left = budget - searched
    usable = [i for i in range(min(searched, len(trace.costs))) if math.isfinite(trace.costs[i])]
    if not usable:
        return None
    rng = generator(seed, "benchmark", task.name, "repeats")
    costs = [[trace.costs[i]] for i in usable]
    used = [[trace.runs[i]] for i in usable]
    while (place := next_repeat(costs, left)) is not None:
        seen = task.observe(trace.params[usable[place]], rng, used[place])
        # A failed repeat counts as the worst cost so far: such a configuration may fail again.
        finite = math.isfinite(seen.cost)
        costs[place].append(seen.cost if finite else max(trace.costs[i] for i in usable))
        used[place].append(seen.run)
        left -= 1
    return usable[winner(costs, estimate(Encoding(task.space), [trace.params[i] for i in usable], costs))]


def result_of(task: Task, trace: Trace, budgets: Sequence[int], seed: int) -> dict[str, Any]:
    """Return the results of a run: for each budget those of the best observation and of the final choice."""
    figures: dict[str, Any] = {"seconds": round(trace.seconds, 4), "asked": trace.asked, "budgets": {}}
    for budget in budgets:
        chosen = {"observed": trace.best(budget), "final": choose(task, trace, budget, seed)}
        figures["budgets"][str(budget)] = {how: _figures(task, trace, place) for how, place in chosen.items()}
    best, curve = math.inf, []
    for count in range(1, len(trace.costs) + 1):
        place = trace.best(count)
        best = math.inf if place is None else task.regret(trace.params[place])
        curve.append(float(f"{best:.5g}") if math.isfinite(best) else None)
    figures["curve"] = curve
    return figures


def _figures(task: Task, trace: Trace, place: int | None) -> dict[str, float]:
    if place is None:
        return {"regret": math.inf}
    params = trace.params[place]
    return {"regret": task.regret(params), "truth": task.truth(params), **task.shown(params)}

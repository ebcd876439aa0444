"""The command `benchmark overhead`: the time of a proposal, by the length of the history."""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from paddle_automl.benchmarks.search.command import OWN, own_controllers, words
from paddle_automl.benchmarks.search.replay import OBJECTIVE, SHORT, plugin_config
from paddle_automl.core.errors import ConfigError
from paddle_automl.core.files import write_json
from paddle_automl.core.seeds import generator
from paddle_automl.core.threads import one_blas_thread
from paddle_automl.search.controllers.base import CONTROLLERS, Proposer
from paddle_automl.search.learning.encoding import Encoding
from paddle_automl.search.records import History, Observation
from paddle_automl.space import SearchSpace

SUMMARY = "Measure the processor time that a controller takes for a proposal."
SPACE = {
    **{f"model.choice{i}": {"choice": ["a", "b", "c", "d"]} for i in range(4)},
    **{f"model.count{i}": {"int": [1, 20]} for i in range(3)},
    **{f"training.rate{i}": {"log": [1e-4, 1.0]} for i in range(3)},
}
"""Ten decisions: choices, whole and real numbers."""
DEFAULT = f"{OWN},policy_gradient:policy=lstm,q_learning:variant=metaqnn,bayesian"


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser; its `run` does the work."""
    parser = commands.add_parser("overhead", help=SUMMARY, description=SUMMARY)
    parser.add_argument(
        "--controllers", default=DEFAULT, help=f"as in the command search, except Optuna's (default: {DEFAULT})"
    )
    parser.add_argument("--trials", default="100,1000", help="lengths of the history (default: 100,1000)")
    parser.add_argument("--proposals", type=int, default=8, help="proposals measured at each length (default: 8)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results to FILE")
    parser.set_defaults(run=_measure)


def _measure(args: argparse.Namespace) -> None:
    """Print the milliseconds of the first proposal, of the others on average, and of the slowest of these."""
    names = [n for word in words(args.controllers) for n in (own_controllers() if word == OWN else [word])]
    for name in names:
        cls, _ = plugin_config(CONTROLLERS, SHORT.get(name, name), "--controllers")
        if not issubclass(cls, Proposer):
            raise ConfigError(f"--controllers: '{name}' is a sampler of Optuna, which reads studies; leave it out")
    try:
        lengths = sorted({int(word) for word in words(args.trials)})
    except ValueError:
        raise ConfigError(f"--trials: must be whole numbers such as 100,1000, got {args.trials!r}") from None
    if not lengths or lengths[0] < 1 or args.proposals < 1:
        raise ConfigError("--trials and --proposals: must be at least 1")
    past = _past(max(lengths) + args.proposals)
    grid = Table(title=f"CPU milliseconds per proposal, {len(SPACE)} decisions: first, then mean (slowest)")
    for column in ("controller", *(f"{length} trials" for length in lengths)):
        grid.add_column(column)
    figures: dict[str, dict[str, list[float]]] = {}
    for name in names:
        figures[name] = {str(length): _times(name, past, length, args.proposals) for length in lengths}
        grid.add_row(name, *(_cell(times) for times in figures[name].values()))
    console = Console(width=160, highlight=False)
    console.print(grid)
    console.print("first: a controller that sees the history for the first time, as in a continued search")
    if args.json is not None:
        write_json(args.json, {"milliseconds": figures})


def _cell(times: list[float]) -> str:
    later = times[1:]
    return f"{times[0]:.1f}" + (f", {np.mean(later):.1f} ({max(later):.1f})" if later else "")


def _past(count: int) -> tuple[Observation, ...]:
    """Return random trials of a cost that depends on every decision."""
    space, rng = SearchSpace.parse(SPACE), generator(0, "benchmark", "overhead")
    encoding = Encoding(space)
    trials = [space.sample(rng) for _ in range(count)]
    rows = np.array([encoding.encode(params) for params in trials])
    scale = np.where(encoding.categories, 3.0, 1.0)
    costs = np.abs(rows / scale - 0.4).sum(axis=1) + 0.05 * rng.normal(size=count)
    return tuple(Observation(n, p, (float(c),)) for n, (p, c) in enumerate(zip(trials, costs, strict=True)))


def _times(name: str, past: tuple[Observation, ...], length: int, proposals: int) -> list[float]:
    """Return the milliseconds of processor time of proposals after `length`, `length` + 1, ... trials."""
    cls, config = plugin_config(CONTROLLERS, SHORT.get(name, name), "--controllers")
    controller: Any = cls(config, space=SearchSpace.parse(SPACE), objectives=(OBJECTIVE,), seed=0)
    times = []
    for number in range(length, length + proposals + 1):
        begun = time.process_time()
        with one_blas_thread():
            controller.propose(number, History(past[:number]))
        times.append(1000.0 * (time.process_time() - begun))
    return times

"""The command `benchmark grids`: fresh tables, made on the spot by training small models over whole grids.

Search methods are easily tuned to the few public tables. These come from data that scikit-learn brings along, so
anybody can make them, and a method may be judged on tables that had no part in its making.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from paddle_automl.benchmarks.search.grid_models import GridTask
from paddle_automl.benchmarks.search.grid_tables import DEVELOPED, GRIDS
from paddle_automl.core.errors import ConfigError, OutputError, unknown_name
from paddle_automl.core.seeds import integer_seed
from paddle_automl.core.threads import one_blas_thread

SUMMARY = "Make fresh tables for `benchmark search`: every configuration of small scikit-learn models, trained."


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser; its `run` does the work."""
    parser = commands.add_parser("grids", help=SUMMARY, description=SUMMARY)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for NAME.npz")
    parser.add_argument(
        "--tables",
        default="developed,fresh",
        help="comma-separated tables; developed: those that methods were "
        f"developed on; fresh: the others (default: all: {', '.join(GRIDS)})",
    )
    parser.add_argument("--runs", type=int, default=4, help="trainings of each configuration (default: 4)")
    parser.set_defaults(run=_make_all)


def _make_all(args: argparse.Namespace) -> None:
    groups = {"developed": DEVELOPED, "fresh": tuple(name for name in GRIDS if name not in DEVELOPED)}
    names = [name for word in args.tables.split(",") if word for name in groups.get(word, (word,))]
    for name in names:
        if name not in GRIDS:
            raise ConfigError(f"--tables: {unknown_name('table', name, GRIDS)}")
    if args.runs < 1:
        raise ConfigError(f"--runs: must be at least 1, got {args.runs}")
    for name in names:
        path = args.output / f"{name}.npz"
        if path.exists():
            sys.stderr.write(f"{path}: is there already\n")
            continue
        with one_blas_thread():
            costs = grid_costs(name, GRIDS[name], args.runs)
        try:
            args.output.mkdir(parents=True, exist_ok=True)
            np.savez_compressed(path, space=np.array(json.dumps(GRIDS[name].choices)), **{name: costs})
        except OSError as error:
            raise OutputError(f"{path}: cannot write the table: {error}") from None
        sys.stderr.write(f"{path}: {costs[..., 0].size} configurations, {args.runs} runs each\n")


def grid_costs(name: str, grid: GridTask, runs: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Return the errors [n_1, ..., n_D, runs] of all configurations; 2 for one that cannot be trained."""
    features, targets = _data(grid)
    shape = tuple(len(values) for values in grid.choices.values())
    costs = np.full((*shape, runs), 2.0, dtype=np.float32)
    for run in range(runs):
        seed = integer_seed(run, "grid", name)
        order = np.random.default_rng(seed).permutation(len(targets))
        train, rest = order[: grid.train], order[grid.train : grid.train + grid.validate]
        for place in product(*map(range, shape)):
            chosen = {key: values[i] for (key, values), i in zip(grid.choices.items(), place, strict=True)}
            cell = (*place, run)
            costs[cell] = _error(grid.model(chosen, seed), features, targets, train, rest)
    return costs


def _error(model: Any, features: Any, targets: Any, train: Any, rest: Any) -> float:
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        # Most of a grid does not converge, or overflows: that is what its errors show.
        warnings.simplefilter("ignore")
        try:
            score = float(model.fit(features[train], targets[train]).score(features[rest], targets[rest]))
        except ValueError:
            return 2.0
    return min(2.0, 1.0 - score)


def _data(grid: GridTask) -> tuple[Any, Any]:
    from sklearn import datasets

    loader = getattr(datasets, f"load_{grid.data}", None)
    if loader is not None:
        features, targets = loader(return_X_y=True)
    else:
        features, targets = getattr(datasets, f"make_{grid.data}")(**grid.options, random_state=0)
    return features, targets

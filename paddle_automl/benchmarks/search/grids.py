"""The command `benchmark grids`: fresh tables, made on the spot by training small models over whole grids.

Search methods are easily tuned to the few public tables. These come from data that scikit-learn brings along, so
anybody can make them, and a method may be judged on tables that had no part in its making.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from paddle_automl.core.errors import ConfigError, OutputError, unknown_name
from paddle_automl.core.seeds import integer_seed
from paddle_automl.core.threads import one_blas_thread

SUMMARY = "Make fresh tables for `benchmark search`: every configuration of small scikit-learn models, trained."


@dataclass(frozen=True)
class GridTask:
    """A table: scikit-learn's `data` set, all combinations of `choices`, and the model of one of them.

    One run trains on `train` examples and measures the error (1 - accuracy, or 1 - R2, at most 2) on at most
    `validate` others; a new run draws both anew.
    """

    data: str
    choices: Mapping[str, Sequence[Any]]
    model: Callable[[Mapping[str, Any], int], Any]
    train: int
    validate: int = 400


def _support_vectors(chosen: Mapping[str, Any], seed: int) -> Any:
    from sklearn.decomposition import PCA
    from sklearn.svm import SVC

    kernel, degree = {"quadratic": ("poly", 2), "cubic": ("poly", 3)}.get(chosen["kernel"], (chosen["kernel"], 1))
    machine = SVC(C=chosen["c"], gamma=chosen["gamma"], kernel=kernel, degree=degree, max_iter=3000)
    parts = [PCA(chosen["components"], random_state=seed)] if chosen["components"] else []
    return _pipeline(chosen["scaling"], *parts, machine)


def _trees(chosen: Mapping[str, Any], seed: int) -> Any:
    from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier

    kind = {"forest": RandomForestClassifier, "extra": ExtraTreesClassifier}[chosen["kind"]]
    names = ("n_estimators", "max_depth", "max_features", "min_samples_leaf", "criterion", "bootstrap")
    return kind(random_state=seed, **{name: chosen[name] for name in names})


def _boosting(chosen: Mapping[str, Any], seed: int) -> Any:
    from sklearn.ensemble import GradientBoostingRegressor

    return GradientBoostingRegressor(random_state=seed, **chosen)


def _network(chosen: Mapping[str, Any], seed: int) -> Any:
    from sklearn.neural_network import MLPClassifier

    layers = (chosen["width"],) * chosen["depth"]
    names = ("learning_rate_init", "alpha", "batch_size", "activation", "max_iter")
    network = MLPClassifier(layers, random_state=seed, **{name: chosen[name] for name in names})
    return _pipeline(chosen["scaling"], network)


def _linear(chosen: Mapping[str, Any], seed: int) -> Any:
    from sklearn.linear_model import SGDClassifier

    names = ("loss", "penalty", "alpha", "learning_rate", "eta0", "average")
    model = SGDClassifier(random_state=seed, max_iter=20, tol=None, **{name: chosen[name] for name in names})
    return _pipeline(chosen["scaling"], model)


def _pipeline(scaling: str, *steps: Any) -> Any:
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, QuantileTransformer, StandardScaler

    scalers = {"standard": StandardScaler, "range": MinMaxScaler}
    first = [QuantileTransformer(n_quantiles=50)] if scaling == "quantiles" else []
    return make_pipeline(*([scalers[scaling]()] if scaling in scalers else first), *steps)


def _powers(low: float, high: float, count: int) -> list[float]:
    return [float(f"{value:.3g}") for value in np.geomspace(low, high, count)]


GRIDS: dict[str, GridTask] = {
    "svm_digits": GridTask(
        "digits",
        {
            "c": _powers(1e-2, 1e3, 8),
            "gamma": _powers(1e-5, 1e1, 8),
            "kernel": ["rbf", "quadratic", "cubic", "sigmoid"],
            "scaling": ["none", "standard", "range"],
            "components": [0, 5, 10, 20],
        },
        _support_vectors,
        train=200,
    ),
    "trees_cancer": GridTask(
        "breast_cancer",
        {
            "kind": ["forest", "extra"],
            "n_estimators": [2, 4, 8, 16],
            "max_depth": [2, 4, 6, 9, 14],
            "max_features": [0.05, 0.15, 0.3, 0.6, 1.0],
            "min_samples_leaf": [1, 2, 4, 8],
            "criterion": ["gini", "entropy"],
            "bootstrap": [True, False],
        },
        _trees,
        train=150,
    ),
    "boosting_diabetes": GridTask(
        "diabetes",
        {
            "n_estimators": [10, 20, 40, 80],
            "learning_rate": _powers(0.01, 1.0, 7),
            "max_depth": [1, 2, 3, 5],
            "subsample": [0.4, 0.7, 1.0],
            "max_features": [0.2, 0.5, 1.0],
            "loss": ["squared_error", "huber"],
        },
        _boosting,
        train=200,
    ),
    "network_digits": GridTask(
        "digits",
        {
            "width": [4, 8, 16, 32],
            "depth": [1, 2],
            "learning_rate_init": _powers(1e-4, 1e-1, 7),
            "alpha": [1e-6, 1e-3, 1e-1],
            "batch_size": [16, 64],
            "activation": ["relu", "tanh", "logistic"],
            "max_iter": [4, 12],
            "scaling": ["range", "standard"],
        },
        _network,
        train=300,
    ),
    "linear_wine": GridTask(
        "wine",
        {
            "loss": ["hinge", "log_loss", "modified_huber", "perceptron"],
            "penalty": ["l1", "l2", "elasticnet"],
            "alpha": _powers(1e-6, 1e-1, 6),
            "learning_rate": ["constant", "invscaling", "adaptive"],
            "eta0": _powers(1e-4, 1.0, 6),
            "average": [False, True],
            "scaling": ["none", "standard", "quantiles"],
        },
        _linear,
        train=60,
    ),
}


def add_arguments(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command's parser; its `run` does the work."""
    parser = commands.add_parser("grids", help=SUMMARY, description=SUMMARY)
    parser.add_argument("--output", type=Path, required=True, metavar="DIR", help="folder for NAME.npz")
    parser.add_argument("--tables", default=",".join(GRIDS), help=f"comma-separated (default: {','.join(GRIDS)})")
    parser.add_argument("--runs", type=int, default=4, help="trainings of each configuration (default: 4)")
    parser.set_defaults(run=_make_all)


def _make_all(args: argparse.Namespace) -> None:
    names = [name for name in args.tables.split(",") if name]
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
    features, targets = _data(grid.data)
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


def _data(name: str) -> tuple[Any, Any]:
    from sklearn import datasets

    return getattr(datasets, f"load_{name}")(return_X_y=True)

"""A run of a search without a search, for the tests of its stages."""

import pickle
from types import SimpleNamespace

import numpy as np

from paddle_automl.core.loading import validate
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.bundle import BundleResult
from paddle_automl.pipeline.progress.observer import Observer
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.space import make_space
from paddle_automl.pipeline.stages.base import Deadline
from paddle_automl.pipeline.stages.run import Run

SPACE = {"training.optimizer.learning_rate": {"log": [0.001, 0.5]}}


def run_of(tmp_path, study=None, space=SPACE, budget=None, observer=None, **sections) -> Run:
    plain = {"visualdl": False, "report": "none", "seed": 0}
    data = {"output": str(tmp_path / "out"), "training": {"epochs": 9}, **plain}
    search_section = {"space": space, **sections.pop("search", {})}
    config = validate(RunConfig, {**data, "budget": {"time": budget}, "search": search_section, **sections})
    (tmp_path / "out").mkdir(exist_ok=True)
    return Run(
        config,
        RunFolder(config.folder),
        observer or Observer(),
        Deadline(budget),
        make_space(config),
        None,
        [],
        None,
        study,
        None,
        [],
    )


def record_of(epochs, seconds, number=0):
    return SimpleNamespace(curve={epochs: 0.9}, seconds=seconds, number=number)


def make_weights(run, number):
    folder = run.folder.trial(number)
    folder.path.mkdir(parents=True, exist_ok=True)
    folder.weights.write_bytes(pickle.dumps({"weight": np.zeros(2, np.float32)}))
    folder.result.write_text("{}")


def result_of(run, verified=True):
    empty = {"metrics": {}, "parity": None, "parity_summary": "", "latency": [], "size_mb": 0.1}
    return BundleResult.model_validate({"bundle": run.folder.bundle, "verified": verified, **empty})

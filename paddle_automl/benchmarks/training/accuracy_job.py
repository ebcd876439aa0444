"""The trainings of `benchmark precision`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from paddle_automl.benchmarks.training.accuracy import PrecisionRequest
from paddle_automl.core.loading import validate
from paddle_automl.core.merging import with_overrides
from paddle_automl.core.seeds import generator
from paddle_automl.data.augment.base import build_augmenter
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.base import enter, load_data
from paddle_automl.pipeline.jobs.networks import make_model
from paddle_automl.search.executors.base import Worker
from paddle_automl.training.evaluation import evaluate
from paddle_automl.training.loop import Keep, train


def run(request: PrecisionRequest, worker: Worker) -> dict[str, Any]:
    """Return the test accuracy of the last weights, and the type that training used.

    Data and splits are the same for all seeds.
    """
    enter(worker)
    amp = {"dtype": "bfloat16"} if request.dtype == "bfloat16" else None
    changes = {"training.amp": amp, "seed": request.seed, "data.split.seed": 0}
    config = validate(RunConfig, with_overrides(request.config, changes))
    data = load_data(config, worker)
    if request.images is not None:
        chosen = generator(0, "benchmark", "precision").permutation(data.train.indices)[: request.images]
        data = replace(data, train=data.train.with_indices(chosen))
    model = make_model(config, data)
    result = train(
        model,
        data,
        config.training,
        seed=config.seed,
        folder=None,
        augment=build_augmenter(config.data.augment, data.input),
        report=worker.report,
        keep=Keep("last"),
        device=worker.device,
    )
    return {
        "accuracy": evaluate(model, data.test, ["accuracy"])["accuracy"],
        "precision": result.amp,
        "seconds": round(result.seconds, 2),
        "test_images": len(data.test),
    }

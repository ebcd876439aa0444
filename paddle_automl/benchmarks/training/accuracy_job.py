"""The trainings of `benchmark precision`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from paddle_automl.core.loading import validate
from paddle_automl.core.merging import with_overrides
from paddle_automl.core.seeds import generator
from paddle_automl.data.augment.base import build_augmenter
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.networks import make_model
from paddle_automl.pipeline.jobs.train import enter_worker, load_data
from paddle_automl.training.evaluation import evaluate
from paddle_automl.training.loop import train


def train_and_test(
    payload: Mapping[str, Any], report: Callable[[int, Mapping[str, float]], bool]
) -> dict[str, Any]:
    """Return the test accuracy of the last weights, and the type that training really ran in.

    Payload: `config`, `images` (a part of the training images, or None), `dtype`, `seed`, `cache`, `device`,
    `threads`. Data and split are the same for all seeds.
    """
    amp = {"dtype": "bfloat16"} if payload["dtype"] == "bfloat16" else None
    changes = {"training.amp": amp, "seed": payload["seed"], "data.split.seed": 0}
    given = validate(RunConfig, with_overrides(payload["config"], changes)).as_dict()
    config = enter_worker({**payload, "config": given})
    data = load_data(config, payload)
    part = data.train
    if payload["images"] is not None:
        chosen = generator(0, "benchmark", "precision").permutation(part.indices)[: payload["images"]]
        data = replace(data, train=part.with_indices(chosen))
    model = make_model(config, data)
    result = train(
        model,
        data,
        config.training,
        seed=config.seed,
        folder=None,
        augment=build_augmenter(config.data.augment),
        report=report,
        keep="last",
        device=payload["device"],
    )
    return {
        "accuracy": evaluate(model, data.test)["accuracy"],
        "precision": result.amp,
        "seconds": round(result.seconds, 2),
        "test_images": len(data.test),
    }

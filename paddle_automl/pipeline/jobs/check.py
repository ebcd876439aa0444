"""Jobs that run before the first trial: build every option once, and time real steps of candidates."""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import paddle

from paddle_automl.compression.candidate import check_candidate
from paddle_automl.core.errors import AutoMLError, ConfigError
from paddle_automl.core.loading import validate
from paddle_automl.data.augment.base import build_augmenter
from paddle_automl.data.parts import PreparedData
from paddle_automl.deployment.create import check_needs
from paddle_automl.models.classifier import Classifier
from paddle_automl.models.profile import profile
from paddle_automl.pipeline.config import GOALS, RunConfig
from paddle_automl.pipeline.jobs.base import returning_errors
from paddle_automl.pipeline.jobs.networks import context_of, guides_of, make_model
from paddle_automl.pipeline.jobs.train import Report, enter_worker, load_data, notes
from paddle_automl.training.loop import train
from paddle_automl.training.precision import Precision
from paddle_automl.training.progressive import Progressive, check_size
from paddle_automl.training.recipe import build_loss, build_optimizer

logger = logging.getLogger(__name__)

TIMED_BATCHES = 8
PROCESS_S = 0.5
"""Start and end of a trial's process, its first step and the measurement of its costs."""


@returning_errors
def check_job(payload: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Load the data and build every candidate once; raise one ConfigError that names each bad option.

    Payload: `config`, `candidates` (a list of label and configuration), `cache`, `device`, `threads`.
    Returns the facts of the data that a person wants to see before a search.
    """
    config = enter_worker(payload)
    check_needs(config.deployment)
    data = load_data(config, payload)
    # An error that many candidates share is one mistake, named with the first of them.
    issues: dict[str, str] = {}
    for number, (label, candidate) in enumerate(payload["candidates"], start=1):
        try:
            try_out(validate(RunConfig, candidate), config, data, payload)
        except AutoMLError as error:
            issues.setdefault(str(error), f"{label}: {error}")
        except (ValueError, RuntimeError) as error:
            # Paddle states a wrong shape or size as one of these two; the last line holds the reason.
            text = str(error).strip().splitlines()[-1]
            issues.setdefault(text, f"{label}: cannot be built: {text}")
        report(number, {})
    if issues:
        raise ConfigError(list(issues.values()))
    return {**data_facts(data), "notes": notes()}


def try_out(candidate: RunConfig, config: RunConfig, data: PreparedData, payload: Mapping[str, Any]) -> None:
    """Build a candidate's data, network, loss and optimizer, and run one small batch through them."""
    if candidate.data.model_copy(update={"augment": ()}) != config.data.model_copy(update={"augment": ()}):
        data = load_data(candidate, payload)
    model = make_model(candidate, data)
    loss = build_loss(
        candidate.training,
        labels=data.train.labels,
        num_classes=data.num_classes,
        feature_dim=model.feature_dim,
    )
    guides = guides_of(candidate, data, model, payload)
    if candidate.compression.in_trials:
        check_candidate(model, candidate.compression, context_of(candidate, data, model, payload))
    build_optimizer(
        model, candidate.training, beside=[parameter for guide in guides for parameter in guide.parameters()]
    )
    check_size(model, data.preprocess.channels, data.preprocess.image_size, candidate.training.progressive)
    flops = profile(model, data.input_shape).flops * candidate.training.batch_size
    Precision(candidate.training.amp, payload["device"], flops)
    augmenter = build_augmenter(candidate.data.augment)
    batch = next(data.train.batches(2, rng=np.random.default_rng(0), augment=augmenter))
    model.eval()
    with paddle.no_grad():
        features = model.features(paddle.to_tensor(batch.images))
        loss(model.head(features), features, paddle.to_tensor(batch.targets))


def data_facts(data: PreparedData) -> dict[str, Any]:
    """Return sizes, classes, shape, skipped files and a fingerprint of the data's content."""
    return {
        "classes": list(data.class_names),
        "train": len(data.train),
        "validation": len(data.validation),
        "test": len(data.test),
        "input_shape": list(data.input_shape),
        "skipped_files": [[str(file), reason] for file, reason in data.skipped],
        "fingerprint": fingerprint(data),
    }


def fingerprint(data: PreparedData) -> str:
    """Return a hash of the labels, the file names and the pixels' statistics of all parts."""
    digest = hashlib.sha256()
    digest.update("\n".join(data.class_names).encode("utf-8"))
    digest.update(repr((data.preprocess.mean, data.preprocess.std)).encode("ascii"))
    for part in (data.train, data.validation, data.test):
        digest.update(np.ascontiguousarray(part.labels).tobytes())
        for file in part.files or ():
            digest.update(file.name.encode("utf-8", errors="surrogateescape"))
    return digest.hexdigest()[:16]


@returning_errors
def timing_job(payload: Mapping[str, Any], report: Report) -> dict[str, Any]:
    """Time real training steps and evaluation of the smallest and the largest candidate.

    Payload: `candidates` (a list of label and configuration) among which the two are found by FLOPs. Returns
    for each: label, parameters, FLOPs, seconds of an epoch, and seconds of a whole trial.
    """
    started = time.perf_counter()
    config = enter_worker(payload)
    data = load_data(config, payload)
    overhead = PROCESS_S + time.perf_counter() - started
    sized = []
    for label, candidate in payload["candidates"]:
        chosen = validate(RunConfig, candidate)
        inputs = load_data(chosen, payload)
        model = make_model(chosen, inputs)
        facts = profile(model, inputs.input_shape)
        sized.append((facts.flops, facts.parameters, label, chosen, inputs, model))
    sized.sort(key=lambda item: item[:2])
    timed = {}
    for name, item in (("smallest", sized[0]), ("largest", sized[-1])):
        flops, parameters, label, chosen, inputs, model = item
        seconds, recipe = epoch_seconds(model, chosen, inputs, payload), chosen.training
        timed[name] = {
            "label": label,
            "flops": flops,
            "parameters": parameters,
            "epoch_s": round(seconds, 3),
            "trial_s": round(overhead + seconds * recipe.progressive.whole_epochs(recipe.epochs), 2),
        }
        report(len(timed), {})
    return {"data": data_facts(data), **timed}


def epoch_seconds(model: Classifier, config: RunConfig, data: PreparedData, payload: Mapping[str, Any]) -> float:
    """Return the estimated seconds of an epoch, from real batches: one round to warm up, one timed."""
    rng = np.random.default_rng(0)
    images = min(len(data.train), TIMED_BATCHES * config.training.batch_size)
    checked = min(len(data.validation), max(images, 64))
    small = replace(
        data,
        train=data.train.with_indices(np.sort(rng.permutation(data.train.indices)[:images])),
        validation=data.validation.with_indices(np.sort(rng.permutation(data.validation.indices)[:checked])),
    )
    seconds: list[float] = []
    changes = {"epochs": 2, "patience": None, "progressive": Progressive()}
    training = config.training.model_copy(update=changes)
    metric = config.epoch_metric()

    def note(epoch: int, metrics: Mapping[str, float]) -> bool:
        seconds.append(metrics["seconds"])
        return True

    train(
        model,
        small,
        training,
        metric=metric,
        goal=GOALS[metric],
        seed=config.seed,
        folder=None,
        augment=build_augmenter(config.data.augment),
        report=note,
        guides=guides_of(config, data, model, payload),
    )
    # Training dominates; the share of evaluation grows with the validation part in the same proportion.
    return seconds[-1] * len(data.train) / images

"""New classes beside old ones: how many old items a network may lose to classes that it did not know before."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np

from paddle_automl.data.splits import PreparedData
from paddle_automl.models.network import Network
from paddle_automl.models.pretrained import BACKBONE
from paddle_automl.paddle_compat.weights import load_weights, save_weights
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.jobs.learning import Learnable, learnable
from paddle_automl.search.executors.base import Worker
from paddle_automl.training.evaluation import predict

LOSS = 0.01
"""Accuracy on old classes that may be lost to new ones, and total accuracy that may be given up for that."""
STEP, LOWEST = 0.05, -5.0
"""Steps of the new classes' biases that are tried, in units of raw outputs, down to the lowest."""
SMALLEST = 1e-12
logger = logging.getLogger(__name__)

Retrain = Callable[[Learnable], None]
"""Trains a network on the training split alone."""


def settle_biases(
    config: RunConfig, data: PreparedData, weights: Path, known: int, worker: Worker, retrain: Retrain | None
) -> float:
    """Lower the biases of the classes from number `known` on, in the file `weights`; return the change, 0 or less.

    A class that is added takes some items of classes that look like it, though the network has forgotten nothing.
    The biases are lowered as little as is needed for old classes to lose no more than `LOSS` of their accuracy on
    the validation split, and only while the total accuracy there loses no more than that either. Where the weights
    have learned from that split too, `retrain` gives outputs for it that have not; without it nothing is done.
    """
    arrays = load_weights(weights)
    name = _bias_of(arrays, len(data.task.names))
    if name is None or not len(data.validation) or known >= len(data.task.names):
        return 0.0
    work = learnable(config, data, worker)
    if retrain is None:
        _load(work.model, arrays)
    else:
        retrain(work)
    outputs = np.log(np.maximum(predict(work.model, work.data.validation), SMALLEST))
    codes = work.data.validation.codes
    shift = smallest_shift(outputs, codes, known)
    if shift:
        changed = {**arrays, name: arrays[name].copy()}
        changed[name][known:] += np.float32(shift)
        save_weights(weights, changed)
        before, after = (_accuracies(outputs, codes, known, value) for value in (0.0, shift))
        logger.warning(
            "the outputs of new classes were lowered by %.2f, so that old classes lose fewer items to them; on the "
            "validation split accuracy on old classes %.3f -> %.3f, on new ones %.3f -> %.3f",
            -shift,
            *(value for pair in zip(before[:2], after[:2], strict=True) for value in pair),
        )
    return shift


def smallest_shift(outputs: np.ndarray, codes: np.ndarray, known: int) -> float:
    """Return the shift nearest to 0 of the raw outputs [N, K] of classes from `known` on, as `settle_biases` says.

    The accuracy that old classes could have is that of answers of old classes alone. If they lose more at every
    shift that total accuracy allows, the lowest of these is returned.
    """
    old = codes < known
    if not old.any() or old.all():
        return 0.0
    best = float((outputs[old, :known].argmax(axis=1) == codes[old]).mean())
    total = _accuracies(outputs, codes, known, 0.0)[2]
    found = 0.0
    for shift in np.arange(0.0, LOWEST - STEP / 2, -STEP):
        of_old, _, of_all = _accuracies(outputs, codes, known, float(shift))
        if of_all < total - LOSS:
            break
        found = float(shift)
        if of_old >= best - LOSS:
            break
    return found


def _accuracies(outputs: np.ndarray, codes: np.ndarray, known: int, shift: float) -> tuple[float, float, float]:
    """Return the accuracy on items of old classes, of new ones, and of all."""
    shifted = outputs.copy()
    shifted[:, known:] += shift
    right = shifted.argmax(axis=1) == codes
    return float(right[codes < known].mean()), float(right[codes >= known].mean()), float(right.mean())


def _bias_of(arrays: dict[str, np.ndarray], outputs: int) -> str | None:
    """Return the name of the bias of the last layer; None for a head without one."""
    names = [
        name
        for name, array in arrays.items()
        if not name.startswith(BACKBONE) and name.endswith("bias") and array.shape == (outputs,)
    ]
    return names[-1] if names else None


def _load(model: Network, arrays: dict[str, np.ndarray]) -> None:
    """Copy the weights of a whole network into it, or into its head alone."""
    model.set_state_dict({name: arrays[name] for name in model.state_dict()})

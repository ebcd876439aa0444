"""New classes beside old ones: how many old items a network may lose to classes that it did not know before."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
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

LOSS = 0.005
"""Accuracy on old classes that may be lost to new ones, unless the user allows another one. On 600 photos of five
flowers, one withheld (mean of each and of ten splits), this lost 0.007 of the accuracy on the old test photos and
found 0.80 of the new ones; 0.0075: 0.009 and 0.84; no limit: 0.022 and 0.91."""
TOTAL = 0.02
"""Total accuracy that may be given up for that."""
FOLDS = 5
"""Parts of the items, each judged by a head that has learned from the others."""
STEP, LOWEST = 0.05, -8.0
"""Steps of the new classes' biases that are tried, in units of raw outputs, down to the lowest."""
SMALLEST = 1e-12
logger = logging.getLogger(__name__)

Retrain = Callable[[Learnable], None]
"""Trains a network on the training split alone, to its last epoch."""


def settle_biases(
    config: RunConfig,
    data: PreparedData,
    weights: Path,
    known: int,
    worker: Worker,
    retrain: Retrain | None,
    *,
    loss: float = LOSS,
) -> float:
    """Lower the biases of the classes from number `known` on, in the file `weights`; return the change, 0 or less.

    A class that is added takes some items of classes that look like it, though the network has forgotten nothing.
    The biases are lowered as little as is needed for old classes to lose no more than `loss` of their accuracy,
    and only while the total accuracy loses no more than `TOTAL`. Both are those of items that a network has not
    learned from: with `retrain` all items of training and validation, by networks that leave a part of them out;
    without it the validation split, by the network of `weights`.
    """
    arrays = load_weights(weights)
    name = _bias_of(arrays, len(data.task.names))
    if name is None or not len(data.validation) or known >= len(data.task.names):
        return 0.0
    if retrain is not None and _least(data.joined().codes) < 2:
        return 0.0
    if retrain is None:
        work = learnable(config, data, worker)
        _load(work.model, arrays)
        outputs, codes = _raw(predict(work.model, work.data.validation)), work.data.validation.codes
    else:
        outputs, codes = _out_of_fold(config, data, worker, retrain)
    shift = smallest_shift(outputs, codes, known, loss)
    before, after = (_accuracies(outputs, codes, known, value) for value in (0.0, shift))
    if shift:
        changed = {**arrays, name: arrays[name].copy()}
        changed[name][known:] += np.float32(shift)
        save_weights(weights, changed)
        logger.warning(
            "the outputs of new classes were lowered by %.2f, so that old classes lose little to them (--old-loss "
            "%.3g); on %d items, by networks that have not learned from them, accuracy on old classes %.3f -> "
            "%.3f, on new ones %.3f -> %.3f",
            -shift,
            loss,
            len(codes),
            *(value for pair in zip(before[:2], after[:2], strict=True) for value in pair),
        )
    return shift


def _out_of_fold(
    config: RunConfig, data: PreparedData, worker: Worker, retrain: Retrain
) -> tuple[np.ndarray, np.ndarray]:
    """Return raw outputs [N, K] and codes of all items but the test's, by networks that did not learn from them."""
    whole = data.joined()
    folds = min(FOLDS, _least(whole.codes))
    place = np.zeros(len(whole), dtype=np.int64)
    # The items of a class go to the parts in turn.
    place[np.argsort(whole.codes, kind="stable")] = np.arange(len(whole)) % folds
    outputs = np.zeros((len(whole), data.task.outputs))
    for fold in range(folds):
        held = place == fold
        part = replace(
            data,
            train=whole.with_indices(whole.indices[~held]),
            validation=whole.with_indices(whole.indices[held]),
        )
        work = learnable(config, part, worker)
        retrain(work)
        outputs[held] = _raw(predict(work.model, work.data.validation))
    return outputs, whole.codes


def _least(codes: np.ndarray) -> int:
    """Return the number of items of the smallest class."""
    return int(np.bincount(codes).min())


def _raw(outputs: np.ndarray) -> np.ndarray:
    """Return raw outputs for probabilities, up to a number per item."""
    return np.asarray(np.log(np.maximum(outputs, SMALLEST)))


def smallest_shift(outputs: np.ndarray, codes: np.ndarray, known: int, loss: float = LOSS) -> float:
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
        if of_all < total - TOTAL:
            break
        found = float(shift)
        if of_old >= best - loss:
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

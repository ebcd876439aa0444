"""New classes beside old ones: how many old items a network may lose to classes that it did not know before."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from paddle_automl.compression.context import TrainedNetwork
from paddle_automl.data.splits import PreparedData
from paddle_automl.models.network import Network
from paddle_automl.models.pretrained import BACKBONE
from paddle_automl.paddle_compat.weights import load_weights, save_weights
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.frozen import FeatureStore
from paddle_automl.pipeline.jobs.added_outputs import Added, best_penalty, fitted, given_of, grown, last_layer
from paddle_automl.pipeline.jobs.learning import Learnable, learnable
from paddle_automl.pipeline.jobs.networks import make_model, trained_network
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.record import read_record
from paddle_automl.pipeline.runs.remembered import data_to_grow
from paddle_automl.pipeline.runs.sources import read_run_config
from paddle_automl.search.executors.base import Worker
from paddle_automl.tasks.base import Task
from paddle_automl.training.evaluation import predict
from paddle_automl.training.goal import Goal
from paddle_automl.training.loop import Keep, train

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


def settle_new_classes(
    config: RunConfig,
    data: PreparedData,
    folder: Path,
    earlier: RunFolder,
    worker: Worker,
    goal: Goal,
    *,
    on: Literal["train", "train+validation"],
    loss: float,
) -> Task | None:
    """Keep old classes from losing many items to those that a training into `folder` has added to an `earlier` one.

    See `keep_old_outputs`, which gives the task, and `settle_biases`.
    """
    record = read_record(earlier)
    known, frozen = len(record.fitted_task().names), config.model.freeze is not None
    if on == "train+validation" and not frozen:
        # Further trainings of the whole network would take several times as long as the first one.
        return None

    def retrain(work: Learnable) -> None:
        train(
            work.model,
            work.data,
            config.training,
            goal,
            seed=config.seed,
            folder=None,
            augment=work.augment,
            device=worker.device,
            keep=Keep("last"),
        )

    weights = RunFolder(folder).weights
    if frozen and on == "train+validation" and _only_new_classes(data, earlier, known):
        old = trained_network(read_run_config(earlier.config), earlier)
        task = keep_old_outputs(config, data, weights, old, worker, retrain, loss=loss)
        if task is not None:
            return task
    settle_biases(config, data, weights, known, worker, retrain if frozen else None, loss=loss)
    return None


def _only_new_classes(data: PreparedData, earlier: RunFolder, known: int) -> bool:
    """Return whether all items that the earlier training did not have are of classes from number `known` on."""
    assert data.items is not None
    joined, content = data.joined(), data_to_grow(earlier, read_record(earlier)).items.content
    added = ~np.isin(data.items.content[joined.indices], content)
    return not (joined.codes[added] < known).any()


def settle_biases(
    config: RunConfig,
    data: PreparedData,
    weights: Path,
    known: int,
    worker: Worker,
    retrain: Retrain | None,
    *,
    loss: float,
) -> None:
    """Lower the biases of the classes from number `known` on, in the file `weights`.

    A class that is added takes some items of classes that look like it, though the network has forgotten nothing.
    The biases are lowered as little as is needed for old classes to lose no more than `loss` of their accuracy,
    and only while the total accuracy loses no more than `TOTAL`. Both are those of items that a network has not
    learned from: with `retrain` all items of training and validation, by networks that leave a part of them out;
    without it the validation split, by the network of `weights`.
    """
    arrays = load_weights(weights)
    name = _bias_of(arrays, len(data.task.names))
    if name is None or not len(data.validation) or known >= len(data.task.names):
        return
    if retrain is not None and _least(data.joined().codes) < 2:
        return
    if retrain is None:
        work = learnable(config, data, worker)
        _load(work.model, arrays)
        outputs, codes = _raw(predict(work.model, work.data.validation)), work.data.validation.codes
    else:
        outputs, codes = _out_of_fold(config, data, worker, retrain)
    shift = smallest_shift(outputs, codes, known, loss)
    if shift:
        changed = {**arrays, name: arrays[name].copy()}
        changed[name][known:] += np.float32(shift)
        save_weights(weights, changed)
        _tell(outputs, codes, known, shift, loss)


def keep_old_outputs(
    config: RunConfig,
    data: PreparedData,
    weights: Path,
    old: TrainedNetwork,
    worker: Worker,
    retrain: Retrain,
    *,
    loss: float,
) -> Task | None:
    """Write the head of `old` with outputs for the new classes into the file `weights`; return the calibrated task.

    For a frozen backbone and new items of new classes alone: then nothing is learned about the old classes, and a
    head that is trained anew answers for them otherwise only by chance. The new outputs are fitted to the old ones
    (`added_outputs`), and lowered as `settle_biases` says, by heads that leave a part of the items out. None, and
    nothing is done, where the head is not linear (a hidden layer that has never seen the new classes tells them
    badly: 0.54 of the new photos instead of 0.67), or a class has too few items.
    """
    from scipy.special import softmax

    known, count = len(old.task.names), len(data.task.names)
    named, whole = last_layer(old.network, known), data.joined()
    if config.model.head.name != "linear" or named is None or known >= count or _least(whole.codes) < 2:
        return None
    parts = []
    folds = list(_folds(data))
    for part in folds:
        # A part of the old items trains an old head; those of new classes are added to it as they are to the whole.
        is_old = part.train.codes < known
        work = learnable(config, replace(part, train=part.train.with_indices(part.train.indices[is_old])), worker)
        retrain(work)
        learned, held = (
            given_of(work.model, split.raw(np.arange(len(split))), split.codes, count, known)
            for split in (work.data.train.with_indices(part.train.indices), work.data.validation)
        )
        parts.append((learned, held))
    penalty, outputs = best_penalty(parts, count - known)
    raw, codes = np.concatenate(outputs), np.concatenate([part.validation.codes for part in folds])
    shift = smallest_shift(raw, codes, known, loss)
    features = FeatureStore(worker.scratch).get(config.model, data, lambda: make_model(config, data)).values
    everything = given_of(old.network, features[whole.indices], whole.codes, known, known)
    added = fitted(everything, count - known, penalty)
    head = {name: tensor.numpy() for name, tensor in old.network.state_dict().items()}
    shifted = Added(added.weight, added.bias + shift)
    save_weights(weights, grown(load_weights(weights), head, named[0], shifted))
    logger.info("new classes: the old head is kept, %d outputs are added (penalty %.4g)", count - known, penalty)
    _tell(raw, codes, known, shift, loss)
    raw[:, known:] += shift
    return data.task.calibrated(softmax(raw, axis=1).astype(np.float32), codes)


def _folds(data: PreparedData) -> Iterator[PreparedData]:
    """Yield the data with each part of all items but the test's for validation, and the others for training."""
    whole = data.joined()
    folds = min(FOLDS, _least(whole.codes))
    place = np.zeros(len(whole), dtype=np.int64)
    # The items of a class go to the parts in turn.
    place[np.argsort(whole.codes, kind="stable")] = np.arange(len(whole)) % folds
    for fold in range(folds):
        held = place == fold
        yield replace(
            data,
            train=whole.with_indices(whole.indices[~held]),
            validation=whole.with_indices(whole.indices[held]),
        )


def _out_of_fold(
    config: RunConfig, data: PreparedData, worker: Worker, retrain: Retrain
) -> tuple[np.ndarray, np.ndarray]:
    """Return raw outputs [N, K] and codes of all items but the test's, by networks that did not learn from them."""
    outputs, codes = [], []
    for part in _folds(data):
        work = learnable(config, part, worker)
        retrain(work)
        outputs.append(_raw(predict(work.model, work.data.validation)))
        codes.append(part.validation.codes)
    return np.concatenate(outputs), np.concatenate(codes)


def _tell(outputs: np.ndarray, codes: np.ndarray, known: int, shift: float, loss: float) -> None:
    """Log what a shift does to the accuracy on old classes and on new ones; nothing if there is none."""
    if not shift:
        return
    before, after = (_accuracies(outputs, codes, known, value) for value in (0.0, shift))
    logger.warning(
        "the outputs of new classes were lowered by %.2f, so that old classes lose little to them (--old-loss "
        "%.3g); on %d items, by networks that have not learned from them, accuracy on old classes %.3f -> %.3f, on "
        "new ones %.3f -> %.3f",
        -shift,
        loss,
        len(codes),
        *(value for pair in zip(before[:2], after[:2], strict=True) for value in pair),
    )


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

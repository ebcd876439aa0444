"""Choosing the rejection score: a training without some of the classes, whose items are then strangers to it."""

from __future__ import annotations

import json
import logging
import time
from dataclasses import replace
from functools import cached_property

import numpy as np

from paddle_automl.core.errors import AutoMLError
from paddle_automl.core.loading import validate
from paddle_automl.core.seeds import generator
from paddle_automl.data.splits import PreparedData, Split
from paddle_automl.deployment.config import LEAST_CLASSES
from paddle_automl.deployment.refusal import Values, applies, compare_scores, values_of
from paddle_automl.deployment.rejection_records import Choice
from paddle_automl.models.network import Network
from paddle_automl.pipeline.config import RunConfig
from paddle_automl.pipeline.frozen import FeatureStore
from paddle_automl.pipeline.jobs.base import Shared
from paddle_automl.pipeline.jobs.learning import Learnable, learnable
from paddle_automl.pipeline.jobs.networks import goal_of_run
from paddle_automl.pipeline.jobs.pacing import start_of, with_frozen_epochs
from paddle_automl.pipeline.runs.folder import RunFolder
from paddle_automl.pipeline.runs.starting import starts_of
from paddle_automl.search.executors.base import Worker
from paddle_automl.training.fitting import fit_epochs, measure_pace, with_epochs
from paddle_automl.training.loop import train

logger = logging.getLogger(__name__)

WITHHELD = 3
"""One class of so many is withheld."""
LEAST_OF_TRAINING = 0.25
"""Fraction of the steps of a whole training below which the network is too poor to compare scores with."""
MOST_ITEMS = 1000
"""Most items of each kind on which the scores are compared."""


def choose_score(
    config: RunConfig, data: PreparedData, worker: Worker, seconds: float, most_epochs: int | None = None
) -> Choice | None:
    """Return the rejection score that best finds the items of classes that a network was not trained on.

    A network of the same configuration is trained for at most `seconds`, and `most_epochs` epochs, without a third
    of the classes. None if refusal is off, if there are too few classes, if the network that it starts from has
    learned some of those left out, or if the time is too short for a useful training.
    """
    started = time.monotonic()
    options = config.deployment.rejection
    if not options.active or not applies(data.task) or seconds <= 0:
        return None
    if data.task.outputs < LEAST_CLASSES or not len(data.validation):
        logger.info("rejection: with %d classes no score can be compared", data.task.outputs)
        return None
    if config.model.freeze is not None and not FeatureStore(worker.scratch).holds(config.model, data):
        # Computing the features of all items would take far longer than training the head.
        logger.info("rejection: the features of the frozen backbone are not stored; no score is compared")
        return None
    if most_epochs is not None and most_epochs < config.training.epochs:
        config = _shortened(config, most_epochs)
    try:
        return _Withholding(config, data, worker).run(seconds - (time.monotonic() - started))
    except (AutoMLError, ArithmeticError, ValueError, RuntimeError) as error:
        # The bundle does not depend on it.
        logger.warning("rejection: the scores could not be compared: %s", error)
        return None


def choice_of(folder: RunFolder) -> Choice | None:
    """Return the score that an export of this run has chosen, or None."""
    try:
        return validate(Choice, json.loads(folder.rejection.read_text(encoding="utf-8")))
    except (OSError, ValueError, AutoMLError):
        return None


def _shortened(config: RunConfig, epochs: int) -> RunConfig:
    """Return the configuration of a training with fewer epochs, at the learning rate of such a training."""
    training, folder = with_epochs(config.training, epochs), RunFolder(config.folder.resolve())
    if folder.search is not None and folder.path == folder.search.refit.path:
        # That of a refit was lowered for its length.
        training = training.at_rate((config.training.epochs / epochs) ** config.refit.rate_power)
    return config.model_copy(
        update={"training": training, "model": with_frozen_epochs(config.model, epochs, config.training.epochs)}
    )


class _Withholding:
    """A training of `config` without the items of some classes; the network keeps all its outputs."""

    def __init__(self, config: RunConfig, data: PreparedData, worker: Worker) -> None:
        self.config, self.data, self.worker = config, data, worker
        classes = data.task.outputs
        order = generator(config.seed, "rejection").permutation(classes)
        self.withheld = np.sort(order[: max(1, classes // WITHHELD)])
        self.known = np.sort(order[max(1, classes // WITHHELD) :])
        self.names = tuple(data.task.names[number] for number in self.withheld)

    @cached_property
    def work(self) -> Learnable:
        return learnable(self.config, self.data, self.worker)

    def run(self, seconds: float) -> Choice | None:
        started = time.monotonic()
        met = [name for run in starts_of(self.config.model) for name in run.record.fitted_task().names]
        if not set(self.names).isdisjoint(met):
            # These are no strangers to it: it would tell them from the others better than it tells real strangers.
            logger.info("rejection: the network that this one starts from knows the classes; no score is compared")
            return None
        config, work = self.config, self.work
        train_split, validation = (self._of(split, self.known) for split in self._unseen())
        data = replace(work.data, train=train_split, validation=validation)
        device = self.worker.device
        # As in `pacing.fitted`: most steps are those after the frozen epochs.
        start = start_of(config).thawed()
        pace = measure_pace(work.model, data, config.training, start=start, augment=work.augment, device=device)
        recipe = fit_epochs(config.training, pace, len(data.train), seconds - (time.monotonic() - started))
        done = recipe.epochs * recipe.steps(len(data.train))
        whole = config.training.epochs * config.training.steps(len(data.train))
        if done < LEAST_OF_TRAINING * whole:
            logger.info("rejection: only %d of %d steps fit into %.0f s; no score is chosen", done, whole, seconds)
            return None
        model = with_frozen_epochs(config.model, recipe.epochs, config.training.epochs)
        result = train(
            work.model,
            data,
            recipe,
            goal_of_run(config, data.task, Shared()),
            start_of(config.model_copy(update={"model": model})),
            seed=config.seed,
            folder=None,
            augment=work.augment,
            device=device,
        )
        choice = self._compared(work.model, data, result.task.final.temperature)
        logger.info("rejection: %s is chosen of %s", choice.score.name, choice.tried)
        return choice.model_copy(update={"withheld": self.names})

    def _compared(self, model: Network, data: PreparedData, temperature: float) -> Choice:
        strangers = [self._values(model, self._of(split, self.withheld), temperature) for split in self._unseen()]
        reference = self._some(data.train)
        codes = np.searchsorted(self.known, data.train.codes[reference])
        return compare_scores(
            self.config.deployment.rejection,
            self._values(model, data.validation, temperature),
            _joined(strangers),
            (self._values(model, data.train, temperature), codes),
        )

    def _unseen(self) -> tuple[Split, Split]:
        return self.work.data.train, self.work.data.validation

    def _values(self, model: Network, split: Split, temperature: float) -> Values:
        found = values_of(model, split, self._some(split))
        return replace(found, raw=found.raw[:, self.known], temperature=temperature)

    def _some(self, split: Split) -> np.ndarray:
        count = min(len(split), MOST_ITEMS)
        return np.linspace(0, len(split) - 1, count).round().astype(np.int64) if count else np.zeros(0, np.int64)

    @staticmethod
    def _of(split: Split, classes: np.ndarray) -> Split:
        return split.with_indices(split.indices[np.isin(split.codes, classes)])


def _joined(parts: list[Values]) -> Values:
    features = [part.features for part in parts if part.features is not None]
    return Values(
        np.concatenate([part.raw for part in parts]),
        np.concatenate(features) if features else None,
        parts[0].temperature,
    )

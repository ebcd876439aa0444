"""Refusing items that belong to none of the classes: the score in the network, and its threshold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.splits import Split
from paddle_automl.deployment.config import RejectionConfig
from paddle_automl.deployment.parity_record import ParityRecord
from paddle_automl.deployment.rejection.base import SCORES, RejectionScore, State
from paddle_automl.deployment.rejection_records import CalibrationRecord, Choice, RejectionRecord, ScoreRecord
from paddle_automl.deployment.runtime import import_paddle
from paddle_automl.paddle_compat.modes import evaluating
from paddle_automl.tasks.base import Task, spread
from paddle_automl.tasks.calibration import at_temperature, error_of
from paddle_automl.tasks.classification import cross_entropy

REFERENCE_ITEMS = 1000
"""Most training items from which a score of the features learns."""
BATCH = 64


@dataclass(frozen=True)
class Values:
    """What scores are computed from, for N items: raw outputs ``[N, K]`` and, if the network has them, features
    ``[N, F]``."""

    raw: np.ndarray
    features: np.ndarray | None
    temperature: float = 1.0

    def of(self, score: RejectionScore) -> np.ndarray:
        """Return what a score needs."""
        if score.needs == "features":
            assert self.features is not None
            return self.features
        if score.needs == "raw":
            return self.raw
        return at_temperature(np.exp(self.raw - self.raw.max(axis=1, keepdims=True)), self.temperature)


def applies(task: Task) -> bool:
    """Return whether items of this task can be refused: those with one class of several."""
    return task.final.activation == "softmax" and task.outputs == len(task.names)


def has_features(model: Any) -> bool:
    """Return whether a network can be asked for its features."""
    return hasattr(model, "features") and hasattr(model, "head")


def values_of(model: Any, split: Split, positions: np.ndarray) -> Values:
    """Return what the network `model` gives for the items of `split` at `positions`, in evaluation mode."""
    paddle = import_paddle()
    raw, features = [], []
    with evaluating(model), paddle.no_grad():
        for batch in split.with_indices(split.indices[positions]).batches(BATCH):
            tensors = [paddle.to_tensor(np.ascontiguousarray(item)) for item in batch.inputs.values()]
            if has_features(model):
                found = model.features(*tensors)
                features.append(found.astype("float32").numpy())
                raw.append(model.head(found).astype("float32").numpy())
            else:
                raw.append(model(*tensors).astype("float32").numpy())
    return Values(np.concatenate(raw), np.concatenate(features) if features else None, split.task.final.temperature)


def usable(scores: Sequence[PluginConfig], values: Values) -> list[RejectionScore]:
    """Return the scores that can be computed for a network."""
    made = [SCORES[item.name](item) for item in scores]
    return [score for score in made if score.needs != "features" or values.features is not None]


def compare_scores(
    options: RejectionConfig, known: Values, strangers: Values, reference: tuple[Values, np.ndarray]
) -> Choice:
    """Return the score that best tells the items of known classes from those of withheld ones.

    `known` are validation items of the known classes, `strangers` those of classes that the network was not trained
    on, `reference` training items with their classes, from 0. The best has the largest area under the ROC curve.
    """
    tried: dict[str, ScoreRecord] = {}
    for score in usable(options.scores, known):
        state = score.fit(reference[0].of(score), reference[1], known.raw.shape[1])
        inside, outside = score(known.of(score), state), score(strangers.of(score), state)
        threshold = threshold_of(inside, options.keep)
        trained = threshold_of(score(reference[0].of(score), state), options.keep)
        tried[score.name] = ScoreRecord(
            auroc=round(auroc(inside, outside), 6),
            refused=round(float((outside < threshold).mean()), 6),
            shift=min(0.0, threshold - trained),
        )
    best = max(tried, key=lambda name: tried[name].auroc)
    return Choice(score=next(item for item in options.scores if item.name == best), tried=tried)


def auroc(inside: np.ndarray, outside: np.ndarray) -> float:
    """Return the probability that an item of `inside` has a larger score than one of `outside`; ties count half."""
    everything = np.sort(outside)
    below = np.searchsorted(everything, inside, side="left")
    not_above = np.searchsorted(everything, inside, side="right")
    return float((below + not_above).mean() / (2 * len(outside)))


def threshold_of(known: np.ndarray, keep: float) -> float:
    """Return the largest threshold that at least the fraction `keep` of the scores reach."""
    # Rounding of `1 - keep` must not refuse one item less than it may.
    place = min(int((1 - keep) * len(known) + 1e-9), len(known) - 1)
    return float(np.partition(known, place)[place])


@dataclass(frozen=True)
class Refusal:
    """A score that is fitted to a network, before its thresholds are known."""

    choice: Choice
    score: RejectionScore
    state: State
    keep: float

    def in_network(self, model: Any) -> Any:
        """Return the layer to export: `model`, with the score as a second result unless its outputs are enough."""
        return model if self.score.needs == "outputs" else with_score(model, self.score, self.state)

    def by_outputs(self, options: RejectionConfig) -> Refusal | None:
        """Return the refusal with the best of the other scores that need the outputs alone, or None."""
        tried = self.choice.tried
        others = [item for item in options.scores if item.name != self.score.name]
        found = [item for item in others if SCORES[item.name].needs == "outputs"]
        if not found:
            return None
        best = max(found, key=lambda item: tried[item.name].auroc if item.name in tried else 0.0)
        choice = self.choice.model_copy(update={"score": best})
        return Refusal(choice, SCORES[best.name](best), {}, self.keep)

    def at_fault(self, parity: ParityRecord) -> bool:
        """Return whether the score, and not the outputs from which it is computed, differs too much in a format."""
        computed = self.score.needs == "outputs" and parity.outputs_differ
        return parity.scores_differ and not computed

    def record(self) -> RejectionRecord:
        """Return the record of a bundle, without thresholds (see `with_threshold`)."""
        measured = self.choice.tried.get(self.score.name)
        return RejectionRecord(
            score=self.choice.score,
            keep=self.keep,
            auroc=None if measured is None else measured.auroc,
            refused=None if measured is None else measured.refused,
            tried=dict(self.choice.tried),
            withheld=self.choice.withheld,
        )


def prepare(model: Any, train: Split, options: RejectionConfig, choice: Choice | None) -> Refusal | None:
    """Return the refusal for a trained network, or None if it is turned off or does not apply to the task.

    Without a `choice` it is the first of the scores that works with the outputs alone. A score of features learns
    from the training items.
    """
    if not options.active or not applies(train.task) or not options.scores:
        return None
    if choice is None or (SCORES[choice.score.name].needs == "features" and not has_features(model)):
        simple = [item for item in options.scores if SCORES[item.name].needs == "outputs"]
        choice = Choice(score=(simple or options.scores)[0])
    score = SCORES[choice.score.name](choice.score)
    state: dict[str, np.ndarray] = {}
    if score.needs == "features":
        if not has_features(model):
            return None
        positions = spread(train.task.strata(train.codes), len(train), REFERENCE_ITEMS)
        values = values_of(model, train, positions)
        state = score.fit(values.of(score), train.codes[positions], train.task.outputs)
    return Refusal(choice, score, state, options.keep)


def with_score(model: Any, score: RejectionScore, state: State) -> Any:
    """Return a layer from the arrays of `model` to its raw outputs, [N, K], and the score, float32 [N, 1]."""
    paddle = import_paddle()

    class Scored(paddle.nn.Layer):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self, network: Any) -> None:
            super().__init__()
            self.network = network
            for name, values in state.items():
                self.register_buffer(f"rejection_{name}", paddle.to_tensor(values))

        # Named arguments: Paddle's tracing does not support a variable number of them.
        def forward(self, first, second=None, third=None, fourth=None):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202, RUF100
            return both(self, [item for item in (first, second, third, fourth) if item is not None])

    def both(layer: Any, given: list[Any]) -> tuple[Any, Any]:
        buffers = {name: getattr(layer, f"rejection_{name}") for name in state}
        if score.needs == "raw":
            raw = layer.network(*given)
            return raw, score.in_graph(paddle, raw, buffers)
        features = layer.network.features(*given)
        return layer.network.head(features), score.in_graph(paddle, features, buffers)

    layer = Scored(model)
    layer.training = model.training
    return layer


def with_threshold(
    record: RejectionRecord | None, name: str, known: np.ndarray | None, held_out: bool
) -> RejectionRecord | None:
    """Return the record with the threshold of the format `name`; `known` are scores of the validation items."""
    if record is None or known is None or not np.isfinite(known).all():
        return record
    threshold = threshold_of(known, record.keep)
    measured = record.tried.get(record.score.name)
    if not held_out and measured is not None:
        threshold += measured.shift
    kept = round(float((known >= threshold).mean()), 6)
    return record.model_copy(
        update={
            "thresholds": {**record.thresholds, name: threshold},
            "kept": {**record.kept, name: kept},
            "items": len(known),
            "held_out": held_out,
        }
    )


def calibration_record(
    task: Task, outputs: np.ndarray, codes: np.ndarray, held_out: bool
) -> CalibrationRecord | None:
    """Return how well the probabilities of a network match the fractions of right answers, without and with its
    temperature; None if the task has no temperature or there are no items."""
    temperature = task.final.temperature
    if not applies(task) or not len(codes) or not np.isfinite(outputs).all():
        return None
    before = at_temperature(outputs, 1 / temperature)
    return CalibrationRecord(
        temperature=temperature,
        items=len(codes),
        held_out=held_out,
        error_before=round(error_of(before, codes), 6),
        error_after=round(error_of(outputs, codes), 6),
        loss_before=round(cross_entropy(before, codes), 6),
        loss_after=round(cross_entropy(outputs, codes), 6),
    )

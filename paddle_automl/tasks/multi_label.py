"""Any number of labels for each item."""

from __future__ import annotations

import logging
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from paddle_automl.core.errors import DataError
from paddle_automl.core.schema import Sequence
from paddle_automl.tasks.base import (
    TASKS,
    TIE,
    Answer,
    Evaluation,
    Final,
    FittedTask,
    Mistake,
    RawTargets,
    Row,
    Strata,
    Table,
    TaskConfig,
    by_name,
)
from paddle_automl.tasks.classification import NamedTask, binary_cross_entropy, check_names, per_class
from paddle_automl.tasks.thresholds import USUAL, best_threshold

logger = logging.getLogger(__name__)

NONE = "none"
"""The answer in words if no label applies."""
Probability = Annotated[float, Field(gt=0, lt=1)]


@TASKS.register("multi_label")
class MultiLabel(NamedTask):
    """Any number of labels for each item: a sigmoid per label, thresholds chosen on validation."""

    reads = frozenset({"labels", "classes"})
    default_for = "labels"
    metrics = ("macro_f1", "micro_f1", "mean_average_precision", "loss")
    losses = ("binary_cross_entropy", "asymmetric")

    class Config(TaskConfig):
        """Options of the task."""

        threshold: Probability | Literal["auto"] = "auto"
        """Probability at which a label begins to apply; auto: chosen for each label on validation, for the best
        F1."""

    class Fitted(FittedTask):
        """The labels and their thresholds."""

        names: Sequence[str]
        """Label names, in the order of the outputs."""
        thresholds: Sequence[Probability]
        """Probability at which each label begins to apply."""
        tune: bool = True
        """Whether thresholds are chosen on validation."""

        @model_validator(mode="after")
        def _one_each(self) -> MultiLabel.Fitted:
            if len(self.names) != len(self.thresholds):
                raise ValueError(f"{len(self.thresholds)} thresholds for {len(self.names)} labels")
            return self

    fitted: Fitted

    @classmethod
    def fit(cls, config: Any, raw: RawTargets) -> MultiLabel:
        """Return the task with the labels of the data; raises DataError if every label is constant."""
        check_names(cls, raw, least=1 if raw.kind == "labels" else 2)
        if raw.kind == "labels":
            _check_labels(raw)
        start = USUAL if config.threshold == "auto" else config.threshold
        thresholds = (start,) * len(raw.names)
        tune = config.threshold == "auto"
        return cls(cls.Fitted(name=cls.name, names=raw.names, thresholds=thresholds, tune=tune))

    def tuned(self, outputs: np.ndarray, codes: np.ndarray) -> MultiLabel:
        """Return the task with the thresholds that give each label its best F1 on these items."""
        if not self.fitted.tune or not len(codes):
            return self
        thresholds = tuple(best_threshold(outputs[:, k], codes[:, k]) for k in range(self.outputs))
        return type(self)(self.fitted.model_copy(update={"thresholds": thresholds}))

    @property
    def thresholds(self) -> np.ndarray:
        """Probability at which each label begins to apply, float64 ``[K]``."""
        return np.array(self.fitted.thresholds)

    @property
    def final(self) -> Final:
        """Sigmoid."""
        return Final("sigmoid")

    def encode(self, raw: RawTargets) -> np.ndarray:
        """Return 0/1 labels, uint8 ``[N, K]``, matched by name; labels that the data do not have are 0."""
        places = self.positions(raw.names)
        codes = np.zeros((len(raw), self.outputs), dtype=np.uint8)
        if raw.kind == "classes":
            codes[np.arange(len(raw)), places[raw.values]] = 1
        else:
            codes[:, places] = raw.values
        return codes

    def dense(self, codes: np.ndarray) -> np.ndarray:
        """Return 0/1 labels, float32 ``[B, K]``."""
        return codes.astype(np.float32)

    def strata(self, codes: np.ndarray) -> Strata:
        """Return the labels; a rare one may be missing in a split."""
        return Strata(codes, self.names, every=False)

    def loss(self, outputs: np.ndarray, codes: np.ndarray) -> float:
        """Return the binary cross entropy in nats, the mean over items and labels."""
        return float(binary_cross_entropy(outputs, codes).mean())

    def decided(self, outputs: np.ndarray) -> np.ndarray:
        """Return which labels reach their thresholds, bool ``[N, K]``."""
        return np.asarray(outputs >= self.thresholds)

    def agree(self, expected: np.ndarray, got: np.ndarray) -> np.ndarray:
        """Return for which items the same labels apply; a probability at its threshold is a tie."""
        same = self.decided(expected) == self.decided(got)
        tie = np.abs(expected.astype(np.float64) - self.thresholds) <= TIE
        return np.asarray((same | tie).all(axis=1))

    def answer(self, row: np.ndarray) -> Answer:
        """Return the labels that apply, joined by commas."""
        labels = self._labels(self.decided(row))
        values = by_name(self.names, row)
        ranked = tuple(sorted(values.items(), key=lambda item: -item[1]))
        return Answer(", ".join(labels) or NONE, values, None, ranked, labels)

    def truth(self, code: Any) -> str:
        """Return the labels that apply, joined by commas."""
        return ", ".join(self._labels(np.asarray(code) > 0)) or NONE

    def evaluation(self, outputs: np.ndarray, codes: np.ndarray) -> Evaluation:
        """Return figures per label: precision, recall, F1, threshold, support."""
        figures = per_class(self.counts(outputs, codes))
        columns = (figures.precision, figures.recall, figures.f1, self.thresholds)
        keys = ("precision", "recall", "f1", "threshold")
        rows: list[Row] = []
        data = []
        for k, name in enumerate(self.names):
            values, support = [float(column[k]) for column in columns], int(figures.support[k])
            rows.append((name, *values, support))
            rounded = {key: round(value, 6) for key, value in zip(keys, values, strict=True)}
            data.append({"label": name, **rounded, "support": support})
        table = Table("per label", ("label", "precision", "recall", "F1", "threshold", "support"), tuple(rows))
        return Evaluation((table,), {"per_label": data, "label_names": list(self.names)})

    def worst(self, outputs: np.ndarray, codes: np.ndarray, count: int) -> list[Mistake]:
        """Return the `count` items with wrong labels that have the highest loss, worst first."""
        wrong = (self.decided(outputs) != self.applying(codes)).sum(axis=1)
        loss = binary_cross_entropy(outputs, codes).mean(axis=1)
        rows = np.flatnonzero(wrong)
        order = rows[np.argsort(-loss[rows], kind="stable")][:count]
        return [
            Mistake(
                int(i),
                self.truth(codes[i]),
                self.answer(outputs[i]).text,
                float(loss[i]),
                {"wrong_labels": int(wrong[i]), "loss": float(loss[i])},
            )
            for i in order
        ]

    def _labels(self, applies: np.ndarray) -> tuple[str, ...]:
        return tuple(name for name, one in zip(self.names, applies, strict=True) if one)


def _check_labels(raw: RawTargets) -> None:
    values = np.asarray(raw.values)
    bad = np.argwhere((values != 0) & (values != 1))
    if len(bad):
        row, column = map(int, bad[0])
        raise DataError(
            f"data.dataset: the label '{raw.names[column]}' of item {row} is {values[row, column]}; "
            "labels are 0 or 1"
        )
    counts = values.sum(axis=0)
    constant = (counts == 0) | (counts == len(values))
    if constant.all():
        raise DataError(
            f"data.dataset: each of the {len(raw.names)} labels ({', '.join(raw.names[:10])}) is the same for all "
            f"{len(values)} items: there is nothing to learn; give items with different labels"
        )
    if constant.any():
        names = ", ".join(f"'{raw.names[k]}'" for k in np.flatnonzero(constant)[:10])
        logger.warning("%d labels are the same for all items and cannot be learned: %s", constant.sum(), names)

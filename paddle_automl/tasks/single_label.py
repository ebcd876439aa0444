"""One class of several for each item."""

from __future__ import annotations

from operator import itemgetter
from typing import Any

import numpy as np
from pydantic import Field

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
    Strata,
    Table,
    TaskConfig,
    by_name,
)
from paddle_automl.tasks.calibration import safe_temperature
from paddle_automl.tasks.classification import (
    Counts,
    NamedTask,
    PerClass,
    check_names,
    counts_between,
    cross_entropy,
    per_class,
)
from paddle_automl.tasks.confusion import confusion_data, confusion_tables


@TASKS.register("single_label")
class SingleLabel(NamedTask):
    """One class of several for each item: softmax, cross entropy, accuracy."""

    reads = frozenset({"classes"})
    default_for = "classes"
    metrics = ("accuracy", "macro_f1", "loss")
    losses = ("cross_entropy", "focal", "center_loss")

    class Config(TaskConfig):
        """Options of the task."""

        calibrate: bool = True
        """Whether probabilities are calibrated on validation after a training: raw outputs are divided by a
        temperature (Guo et al. 2017), so that a probability of 0.8 is right in about 80% of cases. Answers stay the
        same. With fewer than 50 validation items they stay as they are."""

    class Fitted(FittedTask):
        """The classes, and the calibration of their probabilities."""

        names: Sequence[str]
        """Class names, in the order of the outputs."""
        temperature: float = Field(default=1.0, gt=0)
        """The raw outputs are divided by it before the softmax."""
        calibrate: bool = True
        """Whether the temperature is fitted on validation."""

    fitted: Fitted

    @classmethod
    def fit(cls, config: Any, raw: RawTargets) -> SingleLabel:
        """Return the task with the classes of the data, in their order."""
        check_names(cls, raw, least=2)
        return cls(cls.Fitted(name=cls.name, names=raw.names, calibrate=config.calibrate))

    def calibrated(self, outputs: np.ndarray, codes: np.ndarray) -> SingleLabel:
        """Return the task with the temperature for these items; see `safe_temperature`."""
        if not self.fitted.calibrate:
            return self
        # The outputs were made with the temperature so far.
        temperature = self.fitted.temperature * safe_temperature(outputs, codes)
        return type(self)(self.fitted.model_copy(update={"temperature": round(temperature, 6)}))

    @property
    def final(self) -> Final:
        """Softmax at the calibrated temperature."""
        return Final("softmax", temperature=self.fitted.temperature)

    def encode(self, raw: RawTargets) -> np.ndarray:
        """Return class ids, int64 ``[N]``; classes are matched by name."""
        if raw.names == self.names:
            return np.asarray(raw.values, dtype=np.int64)
        return np.asarray(self.positions(raw.names)[raw.values], dtype=np.int64)

    def dense(self, codes: np.ndarray) -> np.ndarray:
        """Return one-hot rows, float32 ``[B, K]``."""
        rows = np.zeros((len(codes), self.outputs), dtype=np.float32)
        rows[np.arange(len(codes)), codes] = 1
        return rows

    def strata(self, codes: np.ndarray) -> Strata:
        """Return the classes; every split needs each of them."""
        return Strata(codes, self.names, every=True)

    def loss(self, outputs: np.ndarray, codes: np.ndarray) -> float:
        """Return the cross entropy in nats."""
        return cross_entropy(outputs, codes)

    def agree(self, expected: np.ndarray, got: np.ndarray) -> np.ndarray:
        """Return for which items the likeliest class is the same, or a tie in `expected`."""
        rows = np.arange(len(expected))
        first, second = expected.argmax(axis=1), got.argmax(axis=1)
        margins = expected[rows, first] - expected[rows, second]
        return np.asarray((first == second) | (margins <= TIE))

    def decided(self, outputs: np.ndarray) -> np.ndarray:
        """Return the likeliest class of each item as bool ``[N, K]``."""
        return np.asarray(np.arange(self.outputs) == outputs.argmax(axis=1)[:, None])

    def counts(self, outputs: np.ndarray, codes: np.ndarray) -> Counts:
        """Return how often each class was found, predicted and true."""
        return counts_between(outputs.argmax(axis=1), codes, self.outputs)

    def answer(self, row: np.ndarray) -> Answer:
        """Return the likeliest class with its probability."""
        best = int(row.argmax())
        values = by_name(self.names, row)
        ranked = tuple(sorted(values.items(), key=itemgetter(1), reverse=True))
        return Answer(self.names[best], values, float(row[best]), ranked, (self.names[best],))

    def truth(self, code: Any) -> str:
        """Return the class."""
        return self.names[int(code)]

    def evaluation(self, outputs: np.ndarray, codes: np.ndarray) -> Evaluation:
        """Return scores per class and the confusion matrix.

        Beyond `confusion.WHOLE` classes the tables show the worst classes and the most frequent confusions;
        `data` has everything: ``per_class``, ``class_names``, and ``confusion_matrix``, or beyond
        `confusion.LARGEST` classes ``confusions``, those that occur.
        """
        predicted, figures = outputs.argmax(axis=1), per_class(self.counts(outputs, codes))
        data = {
            "per_class": _rows(self.names, figures),
            **confusion_data(self.names, predicted, codes),
            "class_names": list(self.names),
        }
        return Evaluation(confusion_tables(self.names, figures, predicted, codes), data)

    def worst(self, outputs: np.ndarray, codes: np.ndarray, count: int) -> list[Mistake]:
        """Return the `count` wrong answers in which the true class got the least probability, worst first."""
        predicted = outputs.argmax(axis=1)
        wrong = np.flatnonzero(predicted != codes)
        order = wrong[np.argsort(outputs[wrong, codes[wrong]], kind="stable")][:count]
        return [self._mistake(int(i), outputs[i], int(codes[i])) for i in order]

    def _mistake(self, index: int, row: np.ndarray, code: int) -> Mistake:
        best = int(row.argmax())
        detail = {"probability": float(row[best]), "label_probability": float(row[code])}
        return Mistake(index, self.names[code], self.names[best], 1 - detail["label_probability"], detail)

    def mistakes(self, found: Any, places: Any, word: str = "item") -> Table:
        """Return mistakes with the probabilities of the true and of the predicted class."""
        rows = tuple(
            (place, item.truth, item.detail["label_probability"], item.answer, item.detail["probability"])
            for item, place in zip(found, places, strict=True)
        )
        columns = (word, "is", "with probability", "predicted", "with probability")
        return Table("worst mistakes", columns, rows)


def _rows(names: tuple[str, ...], figures: PerClass) -> list[dict[str, Any]]:
    return [
        {
            "class": name,
            "precision": round(float(figures.precision[index]), 6),
            "recall": round(float(figures.recall[index]), 6),
            "f1": round(float(figures.f1[index]), 6),
            "support": int(figures.support[index]),
        }
        for index, name in enumerate(names)
    ]

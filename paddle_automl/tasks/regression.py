"""One or several numbers for each item."""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from pydantic import Field, FiniteFloat, model_validator

from paddle_automl.core.errors import ConfigError, DataError
from paddle_automl.core.schema import Sequence
from paddle_automl.tasks.base import (
    TASKS,
    Answer,
    Evaluation,
    Final,
    FittedTask,
    Mistake,
    RawTargets,
    Task,
    TaskConfig,
    by_name,
    check_readable,
)
from paddle_automl.tasks.calibration import fit_offsets
from paddle_automl.tasks.numbers import as_numbers, finite_values, number_text, r_squared, residual_table, varies

COLUMN = "value"
"""Name of the column if classes are read as numbers."""
SAME = 0.2
"""Two answers that differ by at most this fraction of the targets' standard deviation count as equal.

Rounding to 8 bits that costs 0.01 of R2 changes answers by 0.1 standard deviations (0.1^2 = 0.01), 95 % of them by
less than 0.2.
"""
FLOAT32_STEPS = 40
"""Outputs are float32: the scale is at least their size divided by this, otherwise rounding counts as a
difference."""

Fraction = Annotated[float, Field(gt=0, lt=1)]


@TASKS.register("regression")
class Regression(Task):
    """One or several numbers for each item, in the user's unit; targets are standardized inside.

    With `interval` the network gives three numbers per column, the median and the ends of an interval. Outputs
    are ordered by kind: all columns' points first, then all lower ends, then all upper ends. The ends are quantiles
    that the network learned on its training items, too narrow for new ones, so validation widens them.
    """

    reads = frozenset({"numbers", "classes"})
    needs = "numbers, or classes whose names are all numbers,"
    default_for = "numbers"
    metrics = ("r2", "mae", "rmse", "loss")
    losses: tuple[str, ...] = ("mse", "mae", "huber", "quantile")

    class Config(TaskConfig):
        """Options of a regression."""

        interval: Fraction | None = None
        """Target fraction of the items whose true number lies in the predicted interval, such as 0.9; none: no
        interval. Needs the loss quantile, and answers with the median."""

    class Fitted(FittedTask):
        """The columns, and the mean and standard deviation by which targets are standardized."""

        names: Sequence[str]
        """Names of the columns."""
        mean: Sequence[float]
        """Mean of each column on the training split."""
        scale: Sequence[Annotated[float, Field(gt=0)]]
        """Standard deviation of each column on the training split."""
        interval: Fraction | None = None
        """Target fraction of the items whose true number lies in the interval."""
        offset: Sequence[FiniteFloat] = ()
        """By how much each column's interval is widened at either end, in the user's unit; none: 0."""

        @model_validator(mode="after")
        def _one_each(self) -> Regression.Fitted:
            if not len(self.names) == len(self.mean) == len(self.scale):
                raise ValueError(f"{len(self.names)} columns need as many means and scales")
            if self.offset and (self.interval is None or len(self.offset) != len(self.names)):
                raise ValueError("offsets need an interval, and there is one for each column")
            return self

    fitted: Fitted

    def __init__(self, fitted: Any) -> None:
        super().__init__(fitted)
        if fitted.interval is not None:
            self.losses, self.final_metrics, self.calibrates_on_folds = ("quantile",), ("coverage",), True

    @classmethod
    def can_read(cls, raw: RawTargets) -> bool:
        """Return whether the targets are numbers, or classes whose names are all numbers."""
        return raw.kind == "numbers" or (raw.kind == "classes" and as_numbers(raw.names) is not None)

    @classmethod
    def fit(cls, config: Any, raw: RawTargets) -> Regression:
        """Return the task of these columns, standardized by all data; see `with_training`."""
        check_readable(cls, raw)
        names = raw.names if raw.kind == "numbers" else (COLUMN,)
        values = finite_values(raw)
        for column, name in enumerate(names):
            if len(values) and np.ptp(values[:, column]) == 0:
                raise DataError(
                    f"data.dataset: all {len(values)} items have {number_text(values[0, column])} as '{name}': "
                    "there is nothing to predict; leave the column out"
                )
        ones = (1.0,) * len(names)
        fitted = cls.Fitted(
            name=cls.name, names=names, mean=(0.0,) * len(names), scale=ones, interval=config.interval
        )
        return cls(fitted).with_training(values)

    def with_training(self, codes: np.ndarray) -> Regression:
        """Return the task standardized by the mean and standard deviation of these codes."""
        if not len(codes):
            return self
        mean, scale = codes.mean(axis=0), codes.std(axis=0)
        # A column that is constant in a small training split keeps the scale of all data. Its computed deviation
        # may be 1e-17 instead of 0.
        scale = np.where(varies(codes) & (scale > 0), scale, self._scale)
        update = {"mean": tuple(map(float, mean)), "scale": tuple(map(float, scale))}
        return type(self)(self.fitted.model_copy(update=update))

    def calibrated(self, outputs: np.ndarray, codes: np.ndarray) -> Regression:
        """Return the task with intervals that hold the target fraction of new items; see `fit_offsets`."""
        if self.fitted.interval is None:
            return self
        points, low, high = np.split(outputs.astype(np.float64), 3, axis=1)
        # The outputs were made with the offsets so far.
        offset = self._offset + fit_offsets(low, points, high, codes, self.fitted.interval)
        return type(self)(self.fitted.model_copy(update={"offset": tuple(map(float, offset))}))

    def tuned_like(self, other: Any) -> Any:
        """Return this task's mean and scale with the intervals of `other`, which are in the user's unit."""
        return other.model_copy(update={"mean": self.fitted.mean, "scale": self.fitted.scale})

    # -- names and sizes -------------------------------------------------------------------------------------------
    @property
    def names(self) -> tuple[str, ...]:
        """The columns."""
        return self.fitted.names

    @property
    def outputs(self) -> int:
        """The number of columns, three times that with an interval."""
        return len(self.names) * (1 if self.fitted.interval is None else 3)

    @property
    def levels(self) -> tuple[float, ...]:
        """The quantile that each output predicts: 0.5, and those of the ends of the interval."""
        count, interval = len(self.names), self.fitted.interval
        if interval is None:
            return (0.5,) * count
        tail = round((1 - interval) / 2, 12)
        return (0.5,) * count + (tail,) * count + (1 - tail,) * count

    @property
    def final(self) -> Final:
        """Scaling into the user's unit, and widening of the intervals."""
        times = self.outputs // len(self.names)
        shift = np.tile(np.array(self.fitted.mean), times)
        if self.fitted.interval is not None:
            shift += np.concatenate([0 * self._offset, -self._offset, self._offset])
        return Final("identity", scale=self.fitted.scale * times, shift=tuple(map(float, shift)))

    @property
    def scale(self) -> float:
        """The largest of `scales`."""
        return float(self.scales.max())

    @property
    def scales(self) -> np.ndarray:
        """The standard deviation of each output's column, or more if float32 is coarser than 1e-5 of it."""
        size = np.abs(np.array(self.fitted.mean)) + 3 * self._scale
        return np.tile(np.maximum(self._scale, size / FLOAT32_STEPS), self.outputs // len(self.names))

    @property
    def _scale(self) -> np.ndarray:
        return np.array(self.fitted.scale)

    @property
    def _offset(self) -> np.ndarray:
        return np.array(self.fitted.offset or [0.0] * len(self.names))

    # -- targets ---------------------------------------------------------------------------------------------------
    def encode(self, raw: RawTargets) -> np.ndarray:
        """Return the numbers, float64 ``[N, D]``, columns matched by name; raises DataError for other columns."""
        check_readable(type(self), raw)
        values = finite_values(raw)
        if raw.kind == "classes":
            given: tuple[str, ...] = (COLUMN,)
            if len(self.names) == 1:
                return values
        else:
            given = raw.names
        missing = [name for name in self.names if name not in given]
        if missing:
            raise DataError(
                f"data: has the columns {', '.join(given)}; the model predicts {', '.join(self.names)}. "
                f"Missing: {', '.join(missing)}"
            )
        return values[:, [given.index(name) for name in self.names]]

    def dense(self, codes: np.ndarray) -> np.ndarray:
        """Return standardized numbers, float32 ``[B, K]``; with an interval each is repeated three times."""
        standard = (np.asarray(codes) - np.array(self.fitted.mean)) / self._scale
        return np.tile(standard, (1, self.outputs // len(self.names))).astype(np.float32)

    # -- outputs ---------------------------------------------------------------------------------------------------
    def points(self, outputs: np.ndarray) -> np.ndarray:
        """Return the predictions without their intervals, float64 ``[N, D]``."""
        return outputs[..., : len(self.names)].astype(np.float64)

    def bounds(self, outputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the lower and the upper ends of the intervals, float64 ``[N, D]``.

        Quantiles that a network predicts may cross: ends are put in order, and moved to a number outside of them.
        """
        if self.fitted.interval is None:
            raise ConfigError("task.interval: this network predicts no interval; it was trained without one")
        count = len(self.names)
        three = outputs[..., :count], outputs[..., count : 2 * count], outputs[..., 2 * count :]
        return np.min(three, axis=0).astype(np.float64), np.max(three, axis=0).astype(np.float64)

    def covered(self, outputs: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Return which true numbers lie in their interval, bool ``[N, D]``."""
        low, high = self.bounds(outputs)
        return np.asarray((low <= codes) & (codes <= high))

    def loss(self, outputs: np.ndarray, codes: np.ndarray) -> float:
        """Return the mean squared error of standardized numbers; with an interval the mean quantile loss."""
        times = self.outputs // len(self.names)
        error: np.ndarray = np.tile(codes, (1, times)) - outputs.astype(np.float64)
        error = error / np.tile(self._scale, times)
        if self.fitted.interval is None:
            return float((error**2).mean())
        levels = np.array(self.levels)
        return float(np.maximum(levels * error, (levels - 1) * error).mean())

    def agree(self, expected: np.ndarray, got: np.ndarray) -> np.ndarray:
        """Return for which items no number differs by more than `SAME` times its column's standard deviation.

        The ends of the intervals are numbers of the answer too.
        """
        differences = np.abs(expected.astype(np.float64) - got)
        allowed = SAME * np.tile(self._scale, self.outputs // len(self.names))
        return np.asarray((differences <= allowed).all(axis=1))

    # -- answers ---------------------------------------------------------------------------------------------------
    def answer(self, row: np.ndarray) -> Answer:
        """Return the number, or the numbers with their columns' names."""
        points = self.points(row)
        interval = {}
        if self.fitted.interval is not None:
            low, high = self.bounds(row)
            interval = {name: (float(low[k]), float(high[k])) for k, name in enumerate(self.names)}
        return Answer(self._text(points), by_name(self.names, points), interval=interval)

    def truth(self, code: Any) -> str:
        """Return the number, or the numbers with their columns' names."""
        return self._text(np.asarray(code, dtype=np.float64))

    def evaluation(self, outputs: np.ndarray, codes: np.ndarray) -> Evaluation:
        """Return errors per column, and points to draw.

        `Evaluation.points` are true and predicted values: ``residuals``, ``[N, 2]``; with several columns
        ``residuals.<column>`` for each.
        """
        predicted = self.points(outputs)
        inside = None if self.fitted.interval is None else self.covered(outputs, codes)
        table, data = residual_table(self.names, predicted, codes, inside)
        single = len(self.names) == 1
        points = {
            "residuals" if single else f"residuals.{name}": np.stack([codes[:, k], predicted[:, k]], axis=1)
            for k, name in enumerate(self.names)
        }
        return Evaluation((table,), {"per_column": data, "column_names": list(self.names)}, points)

    def worst(self, outputs: np.ndarray, codes: np.ndarray, count: int) -> list[Mistake]:
        """Return the `count` items with the largest error in units of the standard deviation, worst first."""
        errors = self.points(outputs) - codes
        size = np.abs(errors / self._scale).max(axis=1)
        order = np.argsort(-size, kind="stable")[:count]
        return [
            Mistake(
                int(i),
                self.truth(codes[i]),
                self.answer(outputs[i]).text,
                float(size[i]),
                {self._detail(name): float(errors[i, k]) for k, name in enumerate(self.names)},
            )
            for i in order
            if size[i] > 0
        ]

    def columns(self, other: Task) -> list[int] | None:
        """Return for each output its column in `other`'s; None for other columns or another interval."""
        found = super().columns(other)
        if found is None or self.fitted.interval != other.fitted.interval:
            return None
        count = len(self.names)
        return [start + column for start in range(0, self.outputs, count) for column in found]

    def r2(self, outputs: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Return the coefficient of determination of each column, ``[D]``."""
        return r_squared(self.points(outputs), codes)

    def _detail(self, name: str) -> str:
        return "error" if len(self.names) == 1 else f"error of {name}"

    def _text(self, numbers: np.ndarray) -> str:
        texts = [number_text(value, size) for value, size in zip(numbers, self.fitted.scale, strict=True)]
        if len(texts) == 1:
            return texts[0]
        return ", ".join(f"{name} {text}" for name, text in zip(self.names, texts, strict=True))

"""A toy input (vectors), a toy task (ordered levels) and all that they need, as somebody's own package has them.

The package knows nothing of any of this: the test beside this file runs the ordinary commands on it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from paddle import nn
from paddle.nn import functional as F
from pydantic import Field

from paddle_automl.core.errors import DataError
from paddle_automl.core.schema import PluginConfig, Sequence
from paddle_automl.data.datasets.base import DATASETS, Dataset, DatasetConfig
from paddle_automl.data.samples import Samples
from paddle_automl.inputs.base import INPUTS, Fitted, Input, InputConfig, Reader, TensorSpec
from paddle_automl.models.backbones.base import BACKBONES, Backbone
from paddle_automl.tasks.base import (
    TASKS,
    Answer,
    Evaluation,
    Final,
    FittedTask,
    Mistake,
    RawTargets,
    Strata,
    Table,
    Task,
    by_name,
)
from paddle_automl.tasks.metrics.base import METRICS, Metric
from paddle_automl.training.losses.base import LOSSES, Loss

LEVELS = ("low", "middle", "high", "top")


@DATASETS.register("toy_vectors")
class ToyVectors(Dataset):
    """Random vectors whose level is how large a sum of them is."""

    input = "vector"

    class Config(DatasetConfig):
        """How many there are."""

        count: int = Field(400, ge=20)
        """Number of vectors."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def load(self) -> Samples:
        """Return the vectors, float32 ``[N, 6]``."""
        rng = np.random.default_rng(1)
        items = rng.standard_normal((self.config.count, 6)).astype(np.float32)
        sums = items[:, :3].sum(axis=1)
        levels = np.searchsorted(np.quantile(sums, [0.25, 0.5, 0.75]), sums).astype(np.int64)
        return Samples(targets=RawTargets("levels", levels, LEVELS), items=items)


@dataclass(frozen=True)
class VectorReader(Reader):
    """Reads a text file of numbers."""

    length: int

    def __call__(self, source: Any) -> np.ndarray:
        """Return the numbers, float32 ``[D]``."""
        try:
            found = np.loadtxt(source, dtype=np.float32, ndmin=1)
        except (OSError, ValueError) as error:
            raise DataError(f"{source}: holds no numbers: {error}") from None
        if found.shape != (self.length,):
            raise DataError(f"{source}: holds {found.size} numbers, needed are {self.length}")
        return found

    def empty(self, count: int) -> np.ndarray:
        """Return zeros ``[count, D]``."""
        return np.zeros((count, self.length), np.float32)


@INPUTS.register("vector")
class Vector(Input):
    """A vector of numbers, standardized."""

    word = "vector"

    class Config(InputConfig):
        """No options."""

    class Fitted(Fitted):
        """Mean and deviation of each number."""

        mean: Sequence[float]
        std: Sequence[float]

    @classmethod
    def reader(cls, config, *, sources, items):
        """Return a reader of vectors as long as the first one."""
        return VectorReader(items.shape[1] if items is not None else len(np.loadtxt(sources[0], ndmin=1)))

    @classmethod
    def measure(cls, config, reader, batches):
        """Return mean and deviation."""
        items = np.concatenate(list(batches))
        return {"mean": items.mean(axis=0).tolist(), "std": (items.std(axis=0) + 1e-6).tolist()}

    @classmethod
    def fit(cls, config, reader, statistics):
        """Return the input with these statistics."""
        mean, std = tuple(statistics["mean"]), tuple(statistics["std"])
        return cls(cls.Fitted(name=cls.name, mean=mean, std=std))

    @property
    def specs(self):
        """One array, ``[D]``."""
        return (TensorSpec("numbers", (len(self.fitted.mean),)),)

    def read(self, source):
        """Return the numbers of a file."""
        return VectorReader(len(self.fitted.mean))(source)

    def batch(self, items):
        """Return them standardized."""
        scaled = (items - np.asarray(self.fitted.mean)) / np.asarray(self.fitted.std)
        return {"numbers": scaled.astype(np.float32)}

    def find(self, paths):
        """Return the files."""
        found = [file for path in paths for file in (sorted(Path(path).glob("*.vec")) or [Path(path)])]
        if not found:
            raise DataError("no vectors given")
        return found

    def describe(self, source):
        """Return the file's name."""
        return str(source)

    def write(self, item, stem):
        """Write a file of numbers."""
        path = stem.with_name(f"{stem.name}.vec")
        path.write_text("\n".join(repr(float(value)) for value in item) + "\n")
        return path

    def example(self, count, rng):
        """Return normal numbers."""
        return {"numbers": rng.standard_normal((count, len(self.fitted.mean)), dtype=np.float32)}


@TASKS.register("levels")
class Levels(Task):
    """Ordered levels: output k is the probability that the level is above k (Cheng et al. 2008)."""

    reads = frozenset({"levels"})
    default_for = "levels"
    metrics = ("level_error", "loss")
    losses = ("levels",)

    class Fitted(FittedTask):
        """The levels, lowest first."""

        levels: Sequence[str]

    @classmethod
    def fit(cls, config, raw):
        """Return the task with the levels of the data."""
        return cls(cls.Fitted(name=cls.name, levels=raw.names))

    @property
    def names(self):
        """One name per output: above this level."""
        return tuple(f"above {level}" for level in self.fitted.levels[:-1])

    @property
    def final(self):
        """Sigmoid."""
        return Final("sigmoid")

    def encode(self, raw):
        """Return levels, int64 ``[N]``."""
        return np.asarray(raw.values, dtype=np.int64)

    def dense(self, codes):
        """Return which levels each one is above."""
        return (codes[:, None] > np.arange(self.outputs)).astype(np.float32)

    def strata(self, codes):
        """Keep the levels in proportion."""
        return Strata(codes, self.fitted.levels)

    def level(self, outputs):
        """Return the level, int64 ``[N]``: of how many it is rather above."""
        return (outputs > 0.5).sum(axis=1)

    def loss(self, outputs, codes):
        """Return the mean binary cross entropy."""
        p, t = np.clip(outputs.astype(np.float64), 1e-7, 1 - 1e-7), self.dense(codes)
        return float(-(t * np.log(p) + (1 - t) * np.log(1 - p)).mean())

    def agree(self, expected, got):
        """Return where the level is the same."""
        return self.level(expected) == self.level(got)

    def answer(self, row):
        """Return the level."""
        text = self.fitted.levels[int((row > 0.5).sum())]
        return Answer(text, by_name(self.names, row), labels=(text,))

    def truth(self, code):
        """Return the level's name."""
        return self.fitted.levels[int(code)]

    def evaluation(self, outputs, codes):
        """Return how often each level was met by each."""
        found = self.level(outputs)
        rows = tuple((name, int(((codes == k) & (found == k)).sum())) for k, name in enumerate(self.fitted.levels))
        return Evaluation((Table("right answers", ("level", "count"), rows),), {"right": dict(rows)})

    def worst(self, outputs, codes, count):
        """Return the largest errors."""
        errors = np.abs(self.level(outputs) - codes)
        order = [int(i) for i in np.argsort(-errors, kind="stable")[:count] if errors[i]]
        return [Mistake(i, self.truth(codes[i]), self.answer(outputs[i]).text, float(errors[i])) for i in order]


@METRICS.register("level_error")
class LevelError(Metric):
    """Mean distance between the level and the answer."""

    goal = "minimize"
    unit = "levels"
    tasks = frozenset({"levels"})

    def value(self, facts):
        """Return the mean distance."""
        return float(np.abs(facts.task.level(facts.outputs) - facts.codes).mean())


@LOSSES.register("levels")
class LevelsLoss(Loss):
    """Mean binary cross entropy of all thresholds."""

    tasks = frozenset({"levels"})

    def forward(self, outputs, features, targets):
        """Return the loss, shape []."""
        return F.binary_cross_entropy_with_logits(outputs, targets)


@BACKBONES.register("perceptron")
class Perceptron(Backbone):
    """Two layers of neurons."""

    takes = "vector"

    class Config(PluginConfig):
        """Their number."""

        width: int = Field(16, ge=1)
        """Neurons of a layer."""

    space = {"width": {"choice": [8, 16]}}  # noqa: RUF012

    def __init__(self, config, inputs, layers):
        nn.Layer.__init__(self)
        self.out_features = config.width
        self.first = layers.linear(inputs, config.width)
        self.act = layers.activation()
        self.second = layers.linear(config.width, config.width)

    @classmethod
    def build(cls, config, *, input, layers):
        """Return it for as many numbers as the input has."""
        return cls(config, input.specs[0].shape[0], layers)

    def forward(self, x):
        """Map [N, D] to [N, width]."""
        return self.act(self.second(self.act(self.first(x))))

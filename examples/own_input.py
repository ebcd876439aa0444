"""An input of one's own: rows of numbers instead of images, with a data set and a backbone for them.

The task, its losses and metrics, the search, the export and its check are the package's own.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from paddle import nn
from pydantic import Field

from paddle_automl.core.errors import DataError
from paddle_automl.core.schema import PluginConfig, Sequence
from paddle_automl.data.datasets.base import DATASETS, Dataset
from paddle_automl.data.samples import Samples
from paddle_automl.inputs.base import INPUTS, Fitted, Input, Reader, TensorSpec
from paddle_automl.models.backbones.base import BACKBONES, Backbone
from paddle_automl.tasks.base import RawTargets


@dataclass(frozen=True)
class RowReader(Reader):
    """Reads the numbers of a text file; a data set's rows are in memory and need no reading."""

    length: int

    def __call__(self, source):
        """Return a file's numbers, float32 [D]."""
        try:
            row = np.loadtxt(source, dtype=np.float32, delimiter=",", ndmin=1)
        except (OSError, ValueError) as error:
            raise DataError(f"{source}: {error}") from None
        if row.shape != (self.length,):
            raise DataError(f"{source}: holds {row.size} numbers; a row has {self.length}")
        return row

    def empty(self, count):
        """Return room for so many rows."""
        return np.zeros((count, self.length), np.float32)


@INPUTS.register("row")
class Row(Input):
    """A row of numbers, standardized."""

    word = "row"

    class Fitted(Fitted):
        """What is learned from the training rows and stands in the bundle."""

        mean: Sequence[float]
        std: Sequence[float]

    @classmethod
    def reader(cls, config, *, sources, items):
        """Return the reader of rows as long as those of the data set."""
        return RowReader(len(items[0]) if items is not None else np.loadtxt(sources[0], delimiter=",").size)

    @classmethod
    def measure(cls, config, reader, batches):
        """Return mean and deviation of each number over the training rows."""
        rows = np.concatenate(list(batches)).astype(np.float64)
        return {"mean": rows.mean(axis=0).tolist(), "std": np.maximum(rows.std(axis=0), 1e-6).tolist()}

    @classmethod
    def fit(cls, config, reader, statistics):
        """Return the input with these statistics."""
        return cls(cls.Fitted(name=cls.name, **statistics))

    @property
    def specs(self):
        """The one array that the network takes, without the axis of the batch."""
        return (TensorSpec("numbers", (len(self.fitted.mean),)),)

    def read(self, source):
        """Return a row, as in training."""
        return RowReader(len(self.fitted.mean))(source)

    def batch(self, items):
        """Return the network's array of rows [B, D]."""
        scaled = (items - np.asarray(self.fitted.mean)) / np.asarray(self.fitted.std)
        return {"numbers": scaled.astype(np.float32)}

    def find(self, paths):
        """Return the files that the words of a command line name; of a folder, its tables."""
        given = [Path(path) for path in paths]
        return [file for path in given for file in (sorted(path.glob("*.csv")) if path.is_dir() else [path])]

    def describe(self, source):
        """Return a file as tables name it."""
        return str(source)

    def write(self, item, stem):
        """Write a row so that `read` returns it exactly; bundles carry samples."""
        path = stem.with_suffix(".csv")
        path.write_text(",".join(repr(float(value)) for value in item) + "\n")
        return path

    def example(self, count, rng):
        """Return random rows, for timing."""
        return {"numbers": rng.standard_normal((count, len(self.fitted.mean)), dtype=np.float32)}


@DATASETS.register("breast_cancer")
class BreastCancer(Dataset):
    """scikit-learn's 569 tumours: 30 numbers measured on cell nuclei, malignant or benign."""

    input = "row"

    def __init__(self, config):
        self.config = config

    def load(self):
        """Return the rows [569, 30] and their classes."""
        from sklearn.datasets import load_breast_cancer

        data = load_breast_cancer()
        targets = RawTargets("classes", data.target.astype(np.int64), tuple(map(str, data.target_names)))
        return Samples(targets, items=data.data.astype(np.float32))


@BACKBONES.register("perceptron")
class Perceptron(Backbone):
    """Two hidden layers."""

    takes = "row"

    class Config(PluginConfig):
        """Size of the layers."""

        width: int = Field(32, ge=1)
        """Neurons of a layer."""

    space = {"width": {"choice": [16, 32, 64]}}

    def __init__(self, numbers, width, layers):
        nn.Layer.__init__(self)
        self.out_features = width
        self.hidden = nn.Sequential(
            layers.linear(numbers, width), layers.activation(), layers.linear(width, width), layers.activation()
        )

    @classmethod
    def build(cls, config, *, input, layers):
        """Return the backbone for rows as long as those of the input."""
        return cls(input.specs[0].shape[0], config.width, layers)

    def forward(self, numbers):
        """Map rows [N, D] to features [N, width]."""
        return self.hidden(numbers)

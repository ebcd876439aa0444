"""An input of texts with its data set, as a plugin may bring them: unlike images in every way that is allowed.

Sources may be texts or files, items have different lengths; the network takes two arrays, one of an open length.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from paddle_automl.core.errors import DataError
from paddle_automl.core.schema import Sequence
from paddle_automl.data.datasets.base import Dataset, DatasetConfig
from paddle_automl.data.samples import Samples
from paddle_automl.inputs.base import Fitted, Input, InputConfig, Reader, TensorSpec
from paddle_automl.tasks.base import RawTargets

WORDS = ("sun", "rain", "wind", "snow", "月亮", "cloud", "star")


def lines(count):
    """Texts of one to five words, one of them given twice."""
    rng = np.random.default_rng(0)
    found = [" ".join(rng.choice(WORDS, rng.integers(1, 6))) + f" {number}" for number in range(count - 1)]
    return [*found, found[0]]


@dataclass(frozen=True)
class TextReader(Reader):
    """Reads a text, or a file of it, to lower case."""

    lower: bool

    def __call__(self, source):
        """Return the words, an array of texts ``[W]``."""
        try:
            text = source.read_text("utf-8") if isinstance(source, Path) else source
        except OSError as error:
            raise DataError(f"{source}: {error}") from None
        return np.array((text.lower() if self.lower else text).split(), dtype=np.str_)

    def empty(self, count):
        """Return room for arrays of any length."""
        return np.empty(count, dtype=object)

    def convert(self, items):
        """Return the words of texts ``[N]``."""
        converted = self.empty(len(items))
        for row, item in enumerate(items):
            converted[row] = self(item)
        return converted


class Texts(Input):
    """Texts, as numbers of their words."""

    name = "toy_text"
    word = "text"

    class Config(InputConfig):
        """How texts are read."""

        lower: bool = True
        """Whether upper case is taken for lower case."""

    class Fitted(Fitted):
        """The words that are known."""

        lower: bool
        words: Sequence[str]

    @classmethod
    def reader(cls, config, *, sources, items):
        return TextReader(config.lower)

    @classmethod
    def measure(cls, config, reader, batches):
        return {"words": sorted({str(word) for items in batches for item in items for word in item})}

    @classmethod
    def fit(cls, config, reader, statistics):
        return cls(cls.Fitted(name=cls.name, lower=reader.lower, words=tuple(statistics["words"])))

    @property
    def specs(self):
        return (TensorSpec("ids", (None,), "int64"), TensorSpec("length", (1,)))

    def rows(self, array):
        return 1 + len(self.fitted.words) if array == "ids" else None

    def stated(self):
        return self.Config(name=self.name, lower=self.fitted.lower)

    def read(self, source):
        return TextReader(self.fitted.lower)(source)

    def batch(self, items):
        known = {word: number for number, word in enumerate(self.fitted.words, 1)}
        ids = np.zeros((len(items), max(map(len, items))), np.int64)
        for row, item in enumerate(items):
            ids[row, : len(item)] = [known.get(str(word), 0) for word in item]
        return {"ids": ids, "length": np.array([[len(item)] for item in items], np.float32)}

    def find(self, paths):
        found = [Path(path) if Path(path).is_file() else str(path) for path in paths]
        if not found:
            raise DataError("no texts given")
        return found

    def describe(self, source):
        return str(source)[:40]

    def write(self, item, stem):
        path = stem.with_name(f"{stem.name}.txt")
        path.write_text(" ".join(item), "utf-8")
        return path

    def example(self, count, rng):
        ids = rng.integers(0, len(self.fitted.words) + 1, (count, 4))
        return {"ids": ids, "length": np.full((count, 1), 4, np.float32)}

    def facts(self, items):
        return {"words": np.array([len(item) for item in items])}


class Lines(Dataset):
    """Texts in memory, some of them given twice, of classes some of which nothing belongs to."""

    name = "toy_lines"
    input = "toy_text"

    class Config(DatasetConfig):
        """How many there are."""

        count: int = 40
        """Number of texts."""

    def __init__(self, config):
        self.config = config

    def load(self):
        texts = np.array(lines(self.config.count), dtype=object)
        # Texts are no evidence of their class here: a hash decides.
        classes = [int(hashlib.sha256(text.encode()).hexdigest(), 16) % 2 for text in texts]
        return Samples(RawTargets("classes", np.array(classes, np.int64), ("calm", "wild")), items=texts)

"""Features that a frozen backbone computed, in place of the items that they were computed from."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from paddle_automl.core.errors import DataError
from paddle_automl.inputs.base import Fitted, Input, Reader, Source, Statistics, TensorSpec

NAME = "features"


class FeaturesFitted(Fitted):
    """The number of features of an item."""

    features: int
    """F."""


class FeatureInput(Input):
    """Vectors [F] float32 that are the network's input as they are.

    They exist only inside of a training: nothing reads or finds them, and no configuration names this input.
    """

    name = NAME
    Fitted = FeaturesFitted
    word = "item"

    fitted: FeaturesFitted

    @classmethod
    def of(cls, features: int) -> FeatureInput:
        """Return the input of vectors with this number of features."""
        return cls(FeaturesFitted(name=NAME, features=features))

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """Return the only array: ``features``, ``[F]``."""
        return (TensorSpec(NAME, (self.fitted.features,)),)

    def batch(self, items: np.ndarray) -> dict[str, np.ndarray]:
        """Return the features ``[B, F]`` unchanged."""
        return {NAME: items}

    def example(self, count: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Return features that are not negative, as those behind a rectifier."""
        return {NAME: np.abs(rng.standard_normal((count, self.fitted.features), dtype=np.float32))}

    @classmethod
    def reader(cls, config: Any, *, sources: Sequence[Source] | None, items: np.ndarray | None) -> Reader:
        """Raise DataError: features are not read."""
        _refuse()

    @classmethod
    def measure(cls, config: Any, reader: Any, batches: Iterable[np.ndarray]) -> Statistics:
        """Raise DataError: features are not read."""
        _refuse()

    @classmethod
    def fit(cls, config: Any, reader: Any, statistics: Statistics) -> Input:
        """Raise DataError: features are not read."""
        _refuse()

    def read(self, source: Source) -> np.ndarray:
        """Raise DataError: features are not read."""
        _refuse()

    def find(self, paths: Iterable[str | Path]) -> list[Source]:
        """Raise DataError: features are not read."""
        _refuse()

    def describe(self, source: Source) -> str:
        """Return the source's text."""
        return str(source)

    def write(self, item: np.ndarray, stem: Path) -> Path:
        """Raise DataError: features are not written."""
        _refuse()


def _refuse() -> NoReturn:
    raise DataError("features of a frozen backbone are computed, not read")

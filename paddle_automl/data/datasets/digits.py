"""scikit-learn's handwritten digits."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import numpy as np

from paddle_automl.data.datasets.base import DATASETS, Dataset, DatasetConfig
from paddle_automl.data.samples import Samples
from paddle_automl.tasks.base import RawTargets

Target = Literal["digit", "digit_and_parity", "value", "ink"]


@DATASETS.register("digits")
class Digits(Dataset):
    """scikit-learn's digits: 1,797 real handwritten digits of 8 x 8 pixels, 10 classes, no download.

    The 17 grey levels of the original (Alpaydin and Kaynak, UCI, 1998) are scaled to 0..255.
    """

    class Config(DatasetConfig):
        """Target to predict."""

        target: Target = "digit"
        """digit: one of ten classes; digit_and_parity: several labels, the digit and even or odd; value: the digit
        as a number; ink: the sum of the original grey levels (0 to 16 a pixel) as a number."""

    def __init__(self, config: Config) -> None:
        self.config = config

    def sources(self) -> tuple[Path, ...]:
        """Return scikit-learn's file, found without importing scikit-learn, which takes longer than reading."""
        spec = find_spec("sklearn")
        folders = spec.submodule_search_locations if spec is not None else None
        return tuple(Path(folder, "datasets", "data", "digits.csv.gz") for folder in folders or ())

    def load(self) -> Samples:
        """Return 1,797 images ``[N, 8, 8, 1]``."""
        from sklearn.datasets import load_digits

        digits = load_digits()
        images = np.rint(digits.images * (255 / 16)).astype(np.uint8)
        ink = digits.images.reshape(len(digits.images), -1).sum(axis=1)
        targets = _targets(self.config.target, digits.target.astype(np.int64), ink)
        return Samples(targets, items=images[..., None])


def _targets(target: Target, digits: np.ndarray, ink: np.ndarray) -> RawTargets:
    names = tuple(str(digit) for digit in range(10))
    if target == "digit":
        return RawTargets("classes", digits, names)
    if target == "digit_and_parity":
        even = digits % 2 == 0
        labels = np.concatenate([np.eye(10, dtype=bool)[digits], even[:, None], ~even[:, None]], axis=1)
        return RawTargets("labels", labels.astype(np.uint8), (*names, "even", "odd"))
    values = digits if target == "value" else ink
    return RawTargets("numbers", values.astype(np.float64)[:, None], (target,))

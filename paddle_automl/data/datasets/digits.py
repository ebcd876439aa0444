"""scikit-learn's handwritten digits."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from paddle_automl.data.datasets.base import DATASETS, Dataset, DatasetConfig
from paddle_automl.data.samples import Samples


@DATASETS.register("digits")
class Digits(Dataset):
    """scikit-learn's digits: 1,797 real handwritten digits of 8 x 8 pixels, 10 classes, no download.

    The 17 grey levels of the original (Alpaydin and Kaynak, UCI, 1998) are scaled to 0..255.
    """

    class Config(DatasetConfig):
        """The digits have no options."""

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
        return Samples(
            labels=digits.target.astype(np.int64),
            class_names=tuple(str(name) for name in digits.target_names),
            images=images[..., None],
        )

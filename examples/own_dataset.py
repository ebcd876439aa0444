"""A data set of one's own: a CSV file with an image in each row, first its class, then its pixels from 0 to 255."""

from math import isqrt
from pathlib import Path

import numpy as np

from paddle_automl.core.errors import DataError
from paddle_automl.data.datasets.base import DATASETS, Dataset, DatasetConfig
from paddle_automl.data.samples import Samples
from paddle_automl.tasks.base import RawTargets


@DATASETS.register("pixel_csv")
class PixelCsv(Dataset):
    """Square grey images in a CSV file with a header: a column for the class, then one for each pixel."""

    class Config(DatasetConfig):
        """Where the file is."""

        path_options = ("file",)
        file: str
        """The CSV file."""

    def __init__(self, config):
        self.file = Path(config.file)

    def sources(self):
        """Return the file: while it is unchanged, the images are read once for all trials."""
        return (self.file,)

    def load(self):
        """Return the images, uint8 [N, H, W, C], and the class of each."""
        try:
            table = np.loadtxt(self.file, dtype=np.uint8, delimiter=",", skiprows=1, ndmin=2)
        except (OSError, ValueError) as error:
            raise DataError(f"{self.file}: is no CSV file of numbers from 0 to 255: {error}") from None
        side = isqrt(table.shape[1] - 1)
        if side**2 != table.shape[1] - 1:
            raise DataError(f"{self.file}: {table.shape[1] - 1} pixels in a row are no square image")
        names, classes = np.unique(table[:, 0], return_inverse=True)
        targets = RawTargets("classes", classes, tuple(str(name) for name in names))
        return Samples(targets, items=table[:, 1:].reshape(-1, side, side, 1))

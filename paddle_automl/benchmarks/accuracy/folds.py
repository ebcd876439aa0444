"""The folds of a folder of images: in each, another part of every class is the test split."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import load_config, parse_overrides
from paddle_automl.core.paths import located
from paddle_automl.core.seeds import generator
from paddle_automl.data.datasets.image_folder import ImageFolder
from paddle_automl.data.samples import Samples
from paddle_automl.pipeline.config import RunConfig


def root_of(config: str, changes: tuple[str, ...]) -> Path:
    """Return the folder of images of a configuration; raises as `images_of` does."""
    images_of(config, changes)
    return located(_dataset_of(config, changes).root).resolve()


def images_of(config: str, changes: tuple[str, ...]) -> Samples:
    """Return the images of a configuration with their classes, by the rules of its data set.

    Raises ConfigError for data that are no folder of images, or that have splits, and DataError for a folder that
    cannot be read.
    """
    found = ImageFolder(_dataset_of(config, changes)).load()
    if found.splits:
        raise ConfigError(
            f"accuracy: --folds draws the test splits, but the folder has the splits {', '.join(found.splits)}; "
            "use --seeds, or name a folder of classes with -o data.dataset.root=FOLDER"
        )
    return found


def _dataset_of(config: str, changes: tuple[str, ...]) -> ImageFolder.Config:
    dataset = load_config(RunConfig, config, parse_overrides(changes)).data.dataset
    if not isinstance(dataset, ImageFolder.Config) or dataset.added:
        raise ConfigError("accuracy: --folds needs one folder of images (data.dataset: image_folder); use --seeds")
    return dataset


def make_fold(images: Samples, folder: Path, fold: int, folds: int) -> Path:
    """Make ``train`` and ``test`` with a folder per class in `folder`, and return it.

    The images of each class are shuffled by the same seed for all folds, and each is a test image in one of them.
    They are links to the files, or copies where links are not possible. Raises ConfigError for a class with fewer
    images than folds.
    """
    files = [Path(source) for source in images.sources or ()]
    for number, name in enumerate(images.targets.names):
        own = np.flatnonzero(images.targets.values == number)
        if len(own) < folds:
            raise ConfigError(f"accuracy: --folds is {folds}, but '{name}' has {len(own)} images")
        order = generator(0, "folds", name).permutation(len(own))
        for position, index in enumerate(order):
            split, file = "test" if position % folds == fold else "train", files[own[index]]
            target = folder / split / name / f"{position:05d}{file.suffix}"
            target.parent.mkdir(parents=True, exist_ok=True)
            _linked(file.resolve(), target)
    return folder


def _linked(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)

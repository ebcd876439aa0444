"""The folds of a folder of images: in each, another part of every class is the test split."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from paddle_automl.core.errors import ConfigError
from paddle_automl.core.loading import load_config, parse_overrides
from paddle_automl.core.seeds import generator
from paddle_automl.data.datasets.image_folder import ImageFolder
from paddle_automl.inputs.image.files import is_image_name
from paddle_automl.pipeline.config import RunConfig


def root_of(config: str, changes: tuple[str, ...]) -> Path:
    """Return the folder of images of a configuration; raises ConfigError for other data."""
    dataset = load_config(RunConfig, config, parse_overrides(changes)).data.dataset
    if not isinstance(dataset, ImageFolder.Config) or dataset.added:
        raise ConfigError("accuracy: --folds needs one folder of images (data.dataset: image_folder); use --seeds")
    root = Path(dataset.root).resolve()
    if not root.is_dir():
        raise ConfigError(f"accuracy: data.dataset.root: the folder '{root}' does not exist")
    return root


def make_fold(root: Path, folder: Path, fold: int, folds: int) -> Path:
    """Make ``train`` and ``test`` with a folder per class in `folder`, and return it.

    The images of each class are shuffled by the same seed for all folds, and each is a test image in one of them.
    They are links to the files, or copies where links are not possible. Raises ConfigError for a class with fewer
    images than folds.
    """
    for place in sorted(path for path in root.iterdir() if path.is_dir()):
        images = sorted(path for path in place.rglob("*") if is_image_name(path.name))
        if len(images) < folds:
            raise ConfigError(f"accuracy: --folds is {folds}, but '{place.name}' has {len(images)} images")
        order = generator(0, "folds", place.name).permutation(len(images))
        for position, index in enumerate(order):
            split = "test" if position % folds == fold else "train"
            target = folder / split / place.name / f"{position:05d}{images[index].suffix}"
            target.parent.mkdir(parents=True, exist_ok=True)
            _linked(images[index], target)
    return folder


def _linked(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:
        shutil.copyfile(source, target)

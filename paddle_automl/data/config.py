"""The `data` section of a configuration."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, Strict, model_validator
from pydantic_core import PydanticCustomError

from paddle_automl.core.paths import absolute_path
from paddle_automl.core.schema import Plugin, PluginConfig, Section, Sequence, default
from paddle_automl.data.augment.base import AUGMENTATIONS
from paddle_automl.data.datasets.base import DATASETS, DatasetConfig
from paddle_automl.inputs.image.decoding import Fit


def _image_size(value: Any) -> Any:
    sides = [value, value] if isinstance(value, int) else value
    if value is None:
        return value
    if (
        not isinstance(sides, list | tuple)
        or len(sides) != 2
        or not all(isinstance(side, int) and not isinstance(side, bool) and side >= 1 for side in sides)
    ):
        raise PydanticCustomError(
            "stated", f"must be a number of pixels, or [height, width], each at least 1, got {value!r}"
        )
    return value


ImageSize = Annotated[int | Annotated[tuple[int, int], Strict(False)] | None, BeforeValidator(_image_size)]


class Split(Section):
    """How many images are kept for validation and for the test.

    The fractions are of the images that the data set does not itself assign to validation or test; a part
    that the data set gives is taken as it is, and its fraction here is ignored. Splits keep the share of each
    class (stratified) and depend on the seed alone.
    """

    validation: float = Field(default=0.2, gt=0, lt=1)
    """Fraction for validation: it chooses among trials and epochs."""

    test: float = Field(default=0.2, ge=0, lt=1)
    """Fraction for the test, used once at the end; 0 for none."""

    seed: int | None = Field(default=None, ge=0)
    """Seed of the split alone; none takes the run's seed. A trial's configuration states it, so that another
    training of it meets the same parts."""

    @model_validator(mode="after")
    def _something_left_for_training(self) -> Split:
        if self.validation + self.test >= 1:
            raise PydanticCustomError(
                "stated",
                f"validation and test must sum to less than 1, got {self.validation} + {self.test}; "
                "the rest is for training",
            )
        return self


class DataConfig(Section):
    """Data set, split, size of the images, augmentation."""

    dataset: Annotated[PluginConfig, Plugin(DATASETS, "digits")] = default("digits")
    """The data set: a name, or a mapping of name and options."""

    split: Split = Split()
    """Validation and test parts."""

    image_size: ImageSize = None
    """Pixels of a side, or [height, width]; null takes the arrays' own size, and 64 for image files."""

    fit: Fit = "crop"
    """How an image of another shape is met: crop resizes the short side and cuts the centre, pad resizes the
    long side and puts black around, stretch resizes both sides."""

    channels: Literal["auto", 1, 3] = "auto"
    """1 for grey, 3 for colour; auto takes 1 for grey arrays and when all files of a sample are grey."""

    augment: Sequence[Annotated[PluginConfig, Plugin(AUGMENTATIONS)]] = ()
    """Augmentations of the training images, in this order; those of whole batches (mixup) come last."""

    on_error: Literal["stop", "skip"] = "stop"
    """What an image that cannot be read does: stop the run, or be left out and listed."""

    in_memory: Literal["auto", True, False] = "auto"
    """Whether image files are decoded once and kept; auto does so up to in_memory_limit_mb. Otherwise they
    are decoded anew in each epoch. Array data sets are always in memory."""

    in_memory_limit_mb: int = Field(default=1024, ge=1)
    """Size of the decoded images up to which `in_memory: auto` keeps them."""

    loader_workers: int = Field(default=2, ge=0)
    """Processes that decode images when they are not in memory; 0 decodes in threads of the process."""

    @property
    def size(self) -> tuple[int, int] | None:
        """Return (height, width), or None where the size is left to the data."""
        if isinstance(self.image_size, int):
            return self.image_size, self.image_size
        return self.image_size


def absolute(config: DataConfig) -> DataConfig:
    """Return `config` with the data set's paths made absolute, so that it holds in any working directory."""
    dataset = config.dataset
    names = dataset.path_options if isinstance(dataset, DatasetConfig) else ()
    paths = {name: getattr(dataset, name) for name in names}
    changed = {name: absolute_path(path) for name, path in paths.items() if path is not None}
    return config.model_copy(update={"dataset": dataset.model_copy(update=changed)})

"""The `data` section of a configuration."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from paddle_automl.core.paths import absolute_path
from paddle_automl.core.schema import Plugin, PluginConfig, Section, Sequence, default, with_paths
from paddle_automl.data.augment.base import AUGMENTATIONS
from paddle_automl.data.datasets.base import DATASETS
from paddle_automl.inputs.base import INPUTS


class SplitConfig(Section):
    """Sizes of the validation split and the test split.

    The fractions refer to the items that the data set itself does not assign to validation or test; a split that
    the data set defines is used unchanged, and its fraction here is ignored. Splits keep the proportions of the
    classes or labels (stratified) and depend only on the seed.
    """

    validation: float = Field(default=0.2, gt=0, lt=1)
    """Fraction of the items for validation, by which trials and epochs are chosen."""

    test: float = Field(default=0.2, ge=0, lt=1)
    """Fraction of the items for the test, which is used once, at the end; 0 for no test."""

    seed: int | None = Field(default=None, ge=0)
    """Seed of the split alone; none takes the run's seed. A trial's configuration states it, so that training it
    again uses the same splits."""

    @model_validator(mode="after")
    def _something_left_for_training(self) -> SplitConfig:
        if self.validation + self.test >= 1:
            raise PydanticCustomError(
                "stated",
                f"validation and test must sum to less than 1, got {self.validation} + {self.test}; "
                "the rest is for training",
            )
        return self


class FeatureViews(Section):
    """Changed copies of the training items for heads on a frozen backbone (`model.freeze: backbone`)."""

    count: int = Field(default=0, ge=0)
    """Views of each item whose features are computed beside those of the item; in each epoch a training draws one
    of them, or the item itself. A search takes as many as it can compute in 15 % of budget.time."""

    augment: Sequence[Annotated[PluginConfig, Plugin(AUGMENTATIONS)]] = ()
    """Augmentations of single items that make the views, in this order. Those of whole batches (mixup) mix targets
    too, which belong to a training: mixup in `data.augment` mixes features."""

    @field_validator("augment")
    @classmethod
    def _targets_stay(cls, value: tuple[PluginConfig, ...]) -> tuple[PluginConfig, ...]:
        mixing = [item.name for item in value if AUGMENTATIONS[item.name].stage == "batch"]
        if mixing:
            raise PydanticCustomError(
                "stated",
                f"takes augmentations of single items, got {', '.join(mixing)}: views keep the targets of their "
                "items, so items cannot be mixed in them; use mixup in data.augment instead, which mixes features",
            )
        return value


class DataConfig(Section):
    """Data set, input, splits, augmentation."""

    dataset: Annotated[PluginConfig, Plugin(DATASETS, "digits")] = default("digits")
    """The data set: a name, or a mapping of name and options."""

    input: Annotated[PluginConfig, Plugin(INPUTS, optional=True)] = default("auto")
    """Kind of input and how items are read; auto takes the kind of the data set."""

    split: SplitConfig = SplitConfig()
    """Validation and test splits."""

    group: str | None = None
    """Keeps items that belong together in one split: the name of a column of the data set, or a regular expression
    with one group, such as `^(patient[0-9]+)_`, that is searched in the name of each file (in its whole path if the
    expression contains a `/`). Items with the same text are one group."""

    folds: Annotated[int, Field(ge=2)] | Literal["auto"] | None = None
    """Cross-validation: all items outside the test split are divided into this many folds; each fold is the
    validation split once. auto: 5 where the validation split would have fewer than 3,000 items, which are too few
    to tell good configurations apart, unless the data set itself defines it; else none."""

    fold: int | None = Field(default=None, ge=0)
    """Index of the fold that is the validation split, counted from 0; the search sets it."""

    items: int | None = Field(default=None, ge=2)
    """Training items that are used, drawn in the proportions of the classes; null uses all. Validation and test
    stay as they are, so that learning curves compare like with like."""

    items_seed: int = Field(default=0, ge=0)
    """Seed of that draw."""

    augment: Sequence[Annotated[PluginConfig, Plugin(AUGMENTATIONS)]] = ()
    """Augmentations of the training items, in this order; those of whole batches (mixup) come last."""

    feature_views: FeatureViews = FeatureViews()
    """Augmentation for heads on a frozen backbone."""

    on_error: Literal["stop", "skip"] = "stop"
    """What happens when an item cannot be read: stop the run, or leave it out and list it."""

    in_memory: Literal["auto", True, False] = "auto"
    """Whether files are read once and kept; auto does so up to in_memory_limit_mb. Otherwise they are read again in
    each epoch. Array data sets are always in memory."""

    in_memory_limit_mb: int = Field(default=1024, ge=1)
    """Size of the items in memory up to which `in_memory: auto` keeps them."""

    loader_workers: int = Field(default=2, ge=0)
    """Processes that read items which are not in memory; 0 reads them in threads of the training process."""

    @model_validator(mode="before")
    @classmethod
    def _input_of_the_data_set(cls, values: Any) -> Any:
        """Add the input's name if the data set determines it, so that the options are those of the right class."""
        if not isinstance(values, dict):
            return values
        given = values.get("input")
        if given is None or given == "auto":
            given = {}
        if not isinstance(given, dict) or given.get("name", "auto") != "auto":
            return values
        name = _input_of(values.get("dataset", "digits"))
        # Without a known data set the options cannot be checked; the data set's own error is enough.
        return {**values, "input": None if name is None else {**given, "name": name}}

    @model_validator(mode="after")
    def _consistent(self) -> DataConfig:
        expected = DATASETS[self.dataset.name].input
        if self.input.name != expected:
            raise PydanticCustomError(
                "stated",
                f"input: the data set '{self.dataset.name}' has {expected} input, got '{self.input.name}'",
            )
        if self.fold is not None and (not isinstance(self.folds, int) or self.fold >= self.folds):
            raise PydanticCustomError("stated", f"fold: must be below folds, got {self.fold} of {self.folds}")
        return self

    @property
    def networks(self) -> int:
        """Return how many networks a trial trains: one for each fold, unless `fold` names a single one."""
        return self.folds if isinstance(self.folds, int) and self.fold is None else 1


def _input_of(dataset: Any) -> str | None:
    """Return the input of a data set from its raw value; None if there is no such data set."""
    if isinstance(dataset, dict):
        dataset = dataset.get("name", "digits")
    name = dataset.name if isinstance(dataset, PluginConfig) else dataset
    return DATASETS[name].input if isinstance(name, str) and name in DATASETS else None


def absolute(config: DataConfig) -> DataConfig:
    """Return `config` with all its paths made absolute, so that it holds in any working directory."""
    return with_paths(config, absolute_path)

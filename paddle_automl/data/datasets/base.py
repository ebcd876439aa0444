"""The data set plugin: reads one form of data and returns `Samples`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar

from paddle_automl.core.registry import Registry
from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.samples import Samples


class DatasetConfig(PluginConfig):
    """Options of a data set; those that are paths are its `path_options`."""


class Dataset(ABC):
    """One form of data. `load` finds the items and their targets; files are read later, by the input."""

    name: ClassVar[str]
    Config: ClassVar[type[DatasetConfig]] = DatasetConfig
    input: ClassVar[str] = "image"
    """Name of the input that takes the items."""

    @abstractmethod
    def __init__(self, config: PluginConfig) -> None: ...

    def sources(self) -> tuple[Path, ...]:
        """Return the files that determine, with the options, the samples in memory; none for samples with sources.

        Such samples are read once for all trials of a search and stored, by the files' paths, times and sizes.
        """
        return ()

    @abstractmethod
    def load(self) -> Samples:
        """Return all samples, in an order that does not depend on the file system.

        Raises DataError that names the file, folder or row that is missing or wrong.
        """


DATASETS: Registry[Dataset] = Registry("dataset", "paddle_automl.data.datasets", "data.dataset")

"""The contract of data sets."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from paddle_automl.core.errors import DataError
from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.config import DataConfig, absolute
from paddle_automl.data.datasets.base import DATASETS, Dataset, DatasetConfig
from paddle_automl.data.prepare import prepare
from paddle_automl.data.samples import SPLITS, Samples
from paddle_automl.data.splits import PreparedData, Split
from paddle_automl.inputs.base import INPUTS
from paddle_automl.tasks.base import TASKS
from paddle_automl.testing.arrays import fits, same
from paddle_automl.testing.options import check_options

BATCH = 4


class DatasetContract:
    """Tests of a data set: parametrize `plugin` with its class, which is registered, and override `example`.

    `options` are required options in addition to the example's, if any. `task` names the task (or its options) for
    targets without a default task.
    """

    options: ClassVar[dict[str, Any]] = {}
    task: ClassVar[str | dict[str, Any] | None] = None

    def example(self, plugin: type[Dataset], folder: Path) -> dict[str, Any]:
        """Create a small example in `folder`, the working directory; return its options, with relative paths.

        It needs enough items for three splits: at least four of each class.
        """
        del plugin, folder
        return {}

    @pytest.fixture
    def given(self, plugin: type[Dataset], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        """Return the options of an example in the working directory."""
        assert plugin.name in DATASETS, f"{plugin.__name__} is not registered; import the module that registers it"
        monkeypatch.chdir(tmp_path)
        return {"name": plugin.name, **self.options, **self.example(plugin, tmp_path)}

    def load(self, plugin: type[Dataset], given: dict[str, Any]) -> Samples:
        """Return the samples of these options."""
        return plugin(plugin.Config.model_validate(given)).load()

    def prepare(self, config: DataConfig, cache: Path | None = None) -> PreparedData:
        """Return the data, split and ready."""
        return prepare(config, task=self._task(), seed=0, cache_dir=cache)

    def _task(self) -> PluginConfig | None:
        if self.task is None:
            return None
        given = {"name": self.task} if isinstance(self.task, str) else self.task
        config: PluginConfig = TASKS[given["name"]].Config.model_validate(given)
        return config

    def test_options_are_described(self, plugin: type[Dataset]) -> None:
        """Class and options have a docstring; options that are paths are declared; an input takes the items."""
        check_options(plugin)
        assert issubclass(plugin.Config, DatasetConfig)
        assert set(plugin.Config.path_options) <= set(plugin.Config.model_fields)
        assert plugin.input in INPUTS, f"there is no input '{plugin.input}'"

    def test_there_is_a_target_for_each_item(self, plugin: type[Dataset], given: dict[str, Any]) -> None:
        """A task can read the targets, and no item is in two splits."""
        samples = self.load(plugin, given)
        count, targets = len(samples), samples.targets
        assert count > 0, "example() holds no items"
        assert any(TASKS[name].can_read(targets) for name in TASKS.names()), f"no task reads {targets.kind}"
        assert all(name.encode("utf-8") for name in targets.names)
        assert set(samples.splits) <= set(SPLITS)
        taken = np.concatenate([*samples.splits.values(), np.empty(0, np.int64)])
        assert len(set(taken.tolist())) == len(taken), "an item is in two splits, or twice in one"
        assert all(0 <= row < count for row in taken.tolist())

    def test_loading_twice_gives_the_same(self, plugin: type[Dataset], given: dict[str, Any]) -> None:
        """In the same order, independent of the file system."""
        first, second = self.load(plugin, given), self.load(plugin, given)
        assert same(first.targets.values, second.targets.values), "loading twice gives other targets"
        assert first.targets.names == second.targets.names
        if first.items is None:
            assert first.sources == second.sources, "loading twice gives other sources"
        else:
            assert same(first.items, second.items), "loading twice gives other items"
        assert (first.origins, first.groups, first.columns) == (second.origins, second.groups, second.columns)

    def test_files_that_alone_make_the_samples_are_there(
        self, plugin: type[Dataset], given: dict[str, Any]
    ) -> None:
        """While they do not change, the loaded samples come from the cache."""
        files = plugin(plugin.Config.model_validate(given)).sources()
        assert all(isinstance(file, Path) and file.exists() for file in files), f"missing: {files}"
        if files:
            assert self.load(plugin, given).items is not None, "sources() is for items in memory"

    def test_prepared_splits_are_disjoint_and_their_batches_whole(
        self, plugin: type[Dataset], given: dict[str, Any]
    ) -> None:
        """The network gets the arrays that the input declares."""
        data = self.prepare(DataConfig.model_validate({"dataset": given}))
        splits = [data.train, data.validation, data.test]
        rows = np.concatenate([split.indices for split in splits])
        assert len(set(rows.tolist())) == len(rows)
        assert all(len(split) for split in splits), "a split is empty; the example needs more items"
        assert len(data.train) >= BATCH, f"the example needs at least {BATCH} training items"
        batch = next(data.train.batches(BATCH, rng=np.random.default_rng(0)))
        assert list(batch.inputs) == [spec.name for spec in data.specs]
        for spec in data.specs:
            assert batch.inputs[spec.name].dtype == spec.dtype
            assert fits(batch.inputs[spec.name].shape, (BATCH, *spec.shape))
        assert batch.targets.shape == (BATCH, data.task.outputs)
        assert batch.targets.dtype == np.float32
        assert same(data.train.codes[batch.rows], batch.codes)

    def test_absolute_paths_hold_in_any_folder(
        self, plugin: type[Dataset], given: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A trial can be trained again from its configuration in any working directory."""
        del plugin
        config = DataConfig.model_validate({"dataset": given})
        made = DataConfig.model_validate(absolute(config).model_dump(mode="json"))
        first = self.prepare(config)
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        second = self.prepare(made)
        assert same(_items(first.train), _items(second.train))
        assert first.input.fitted == second.input.fitted

    def test_the_cache_gives_the_same_data(
        self, plugin: type[Dataset], given: dict[str, Any], tmp_path: Path
    ) -> None:
        """The first trial fills it, the others read from it."""
        del plugin
        config = DataConfig.model_validate({"dataset": given})
        plain = self.prepare(config)
        for _ in range(2):
            stored = self.prepare(config, tmp_path / "cache")
            assert stored.input.fitted == plain.input.fitted
            assert stored.task.fitted == plain.task.fitted
            for mine, theirs in ((stored.train, plain.train), (stored.test, plain.test)):
                assert same(mine.indices, theirs.indices)
                assert same(mine.codes, theirs.codes)
                assert same(_items(mine), _items(theirs))

    def test_a_missing_path_is_named(self, plugin: type[Dataset], given: dict[str, Any], tmp_path: Path) -> None:
        """The message of the error contains it."""
        for option in plugin.Config.path_options:
            if given.get(option):
                with pytest.raises(DataError, match="没有 this"):
                    self.load(plugin, {**given, option: str(tmp_path / "没有 this")})


def _items(split: Split) -> np.ndarray:
    return split.raw(range(len(split)))

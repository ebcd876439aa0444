"""What every data set must hold to; each file in the folder is tested by itself."""

import numpy as np
import pytest
from pydantic import ValidationError

from paddle_automl.core.describe import all_options
from paddle_automl.core.errors import DataError
from paddle_automl.data.config import DataConfig, absolute
from paddle_automl.data.datasets.base import DATASETS, DatasetConfig
from paddle_automl.data.prepare import prepare
from paddle_automl.inputs.base import INPUTS
from paddle_automl.tasks.base import default_task
from tests.unit.data.pictures import class_folder, write_idx

NAMES = DATASETS.names()


def _digits(root):
    return {}


def _image_folder(root):
    class_folder(root / "花 卉", {"玫瑰 red": 4, "lily": 5})
    return {"root": "花 卉"}


def _image_list(root):
    class_folder(root / "图 片", {"a": 4, "b": 5})
    lines = [
        f"{name}/图 {number:02d}.png {name}" for name, count in (("a", 4), ("b", 5)) for number in range(count)
    ]
    (root / "图 片" / "列表.txt").write_text("\n".join(lines), encoding="utf-8")
    return {"train": "图 片/列表.txt"}


def _idx(root):
    rng = np.random.default_rng(0)
    for part, count in (("train", 12), ("t10k", 6)):
        write_idx(root / f"{part}-images-idx3-ubyte", rng.integers(0, 256, (count, 5, 6)))
        write_idx(root / f"{part}-labels-idx1-ubyte", np.arange(count) % 3)
    return {"root": "."}


def _npz(root):
    images = np.random.default_rng(0).integers(0, 256, (12, 5, 6, 3), dtype=np.uint8)
    np.savez(root / "数据.npz", x_train=images, y_train=np.arange(12) % 2)
    return {"path": "数据.npz"}


def _image_table(root):
    class_folder(root / "图 片", {"a": 5, "b": 5})
    rows = [f"{name}/图 {number:02d}.png;{name};p{number}" for name in "ab" for number in range(5)]
    (root / "图 片" / "表.csv").write_text("\n".join(["path;类;who", *rows]), encoding="utf-8")
    return {"file": "图 片/表.csv", "labels": "类"}


EXAMPLES = {
    "digits": _digits,
    "image_folder": _image_folder,
    "image_list": _image_list,
    "image_table": _image_table,
    "idx": _idx,
    "npz": _npz,
}


@pytest.fixture
def options(name, tmp_path, monkeypatch):
    """Make a small example of the data set and return its options, with relative paths."""
    assert name in EXAMPLES, f"add an example of the data set '{name}' to EXAMPLES in {__file__}"
    monkeypatch.chdir(tmp_path)
    return {"name": name, **EXAMPLES[name](tmp_path)}


@pytest.mark.parametrize("name", NAMES)
class TestDataset:
    def test_options_are_documented(self, name):
        cls = DATASETS[name]
        assert issubclass(cls.Config, DatasetConfig)
        assert cls.input in INPUTS
        assert DATASETS.summary(name)
        assert all(option.doc for option in all_options(cls.Config))
        assert set(cls.Config.path_options) <= set(cls.Config.model_fields)
        with pytest.raises(ValidationError, match="unknown key"):
            cls.Config.model_validate({"name": name, "no_such_option": 1})

    def test_samples_are_consistent(self, name, options):
        cls = DATASETS[name]
        samples = cls(cls.Config.model_validate(options)).load()
        count = len(samples)
        targets = samples.targets
        assert len(targets) == count
        assert len(set(targets.names)) == len(targets.names)
        assert all(text.encode("utf-8") for text in targets.names)
        if targets.kind == "classes":
            assert targets.values.dtype == np.int64
            assert set(np.unique(targets.values)) == set(range(len(targets.names)))
        default_task(targets.kind)
        if samples.items is not None:
            assert len(samples.items) == count
        else:
            assert len(set(samples.sources)) == count
        taken = np.concatenate([*samples.splits.values(), np.empty(0, np.int64)])
        assert len(set(taken.tolist())) == len(taken)
        assert set(samples.splits) <= {"train", "validation", "test"}

    def test_loading_twice_gives_the_same(self, name, options):
        cls = DATASETS[name]
        first, second = (cls(cls.Config.model_validate(options)).load() for _ in range(2))
        assert (first.targets.values == second.targets.values).all()
        assert first.targets.names == second.targets.names
        assert first.sources == second.sources
        assert first.items is None or (first.items == second.items).all()

    def test_prepared_splits_are_disjoint_and_complete(self, name, options):
        data = prepare(DataConfig.model_validate({"dataset": options}), seed=0)
        parts = [data.train, data.validation, data.test]
        rows = np.concatenate([part.indices for part in parts])
        assert len(set(rows.tolist())) == len(rows)
        assert all(len(part) for part in parts)
        batch = next(data.train.batches(4, rng=np.random.default_rng(0)))
        assert list(batch.inputs) == [spec.name for spec in data.specs]
        for spec in data.specs:
            assert batch.inputs[spec.name].dtype == spec.dtype
            assert batch.inputs[spec.name].shape == (4, *spec.shape)
        assert batch.targets.shape == (4, data.task.outputs)
        assert batch.targets.dtype == np.float32
        assert (data.train.codes[batch.rows] == batch.codes).all()

    def test_absolute_paths_hold_in_any_folder(self, name, options, tmp_path, monkeypatch):
        config = DataConfig.model_validate({"dataset": options})
        made = absolute(config)
        first = prepare(config, seed=0)
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        second = prepare(made, seed=0)
        assert (first.train.raw([0, 1]) == second.train.raw([0, 1])).all()
        assert first.input.fitted == second.input.fitted

    def test_the_store_gives_the_same_data(self, name, options, tmp_path):
        config = DataConfig.model_validate({"dataset": options})
        plain = prepare(config, seed=0)
        for _ in range(2):
            stored = prepare(config, seed=0, cache_dir=tmp_path / "cache")
            assert stored.input.fitted == plain.input.fitted
            assert stored.task.names == plain.task.names
            for mine, theirs in ((stored.train, plain.train), (stored.test, plain.test)):
                assert (mine.indices == theirs.indices).all()
                assert (mine.codes == theirs.codes).all()
                assert (mine.raw(range(len(mine))) == theirs.raw(range(len(theirs)))).all()

    def test_a_missing_path_is_a_data_error(self, name, options, tmp_path):
        cls = DATASETS[name]
        given = [option for option in cls.Config.path_options if options.get(option)]
        for option in given:
            broken = cls.Config.model_validate({**options, option: str(tmp_path / "没有 this")})
            with pytest.raises(DataError, match="没有 this"):
                cls(broken).load()

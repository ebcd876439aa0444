"""What every data set must hold to; each file in the folder is tested by itself."""

import numpy as np
import pytest
from pydantic import ValidationError

from paddle_automl.core.describe import all_options
from paddle_automl.core.errors import DataError
from paddle_automl.data.config import DataConfig, absolute
from paddle_automl.data.datasets.base import DATASETS, DatasetConfig
from paddle_automl.data.prepare import prepare
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


EXAMPLES = {
    "digits": _digits,
    "image_folder": _image_folder,
    "image_list": _image_list,
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
        assert DATASETS.summary(name)
        assert all(option.doc for option in all_options(cls.Config))
        assert set(cls.Config.path_options) <= set(cls.Config.model_fields)
        with pytest.raises(ValidationError, match="unknown key"):
            cls.Config.model_validate({"name": name, "no_such_option": 1})

    def test_samples_are_consistent(self, name, options):
        cls = DATASETS[name]
        samples = cls(cls.Config.model_validate(options)).load()
        count = len(samples)
        assert samples.labels.dtype == np.int64
        assert set(np.unique(samples.labels)) == set(range(len(samples.class_names)))
        assert len(set(samples.class_names)) == len(samples.class_names)
        assert all(text.encode("utf-8") for text in samples.class_names)
        if samples.images is not None:
            assert samples.images.dtype == np.uint8
            assert len(samples.images) == count
        else:
            assert len(set(samples.files)) == count
            assert all(file.is_file() for file in samples.files)
        taken = np.concatenate([*samples.parts.values(), np.empty(0, np.int64)])
        assert len(set(taken.tolist())) == len(taken)
        assert set(samples.parts) <= {"train", "validation", "test"}

    def test_loading_twice_gives_the_same(self, name, options):
        cls = DATASETS[name]
        first, second = (cls(cls.Config.model_validate(options)).load() for _ in range(2))
        assert (first.labels == second.labels).all()
        assert first.class_names == second.class_names
        assert first.files == second.files
        assert first.images is None or (first.images == second.images).all()

    def test_prepared_parts_are_disjoint_and_complete(self, name, options):
        data = prepare(DataConfig.model_validate({"dataset": options, "image_size": 7}), seed=0)
        parts = [data.train, data.validation, data.test]
        rows = np.concatenate([part.indices for part in parts])
        assert len(set(rows.tolist())) == len(rows)
        assert all(len(part) >= data.num_classes for part in parts)
        batch = next(data.train.batches(4, rng=np.random.default_rng(0)))
        assert batch.images.shape == (4, *data.input_shape)
        assert batch.targets.shape == (4, data.num_classes)

    def test_absolute_paths_hold_in_any_folder(self, name, options, tmp_path, monkeypatch):
        config = DataConfig.model_validate({"dataset": options, "image_size": 7})
        made = absolute(config)
        first = prepare(config, seed=0)
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        second = prepare(made, seed=0)
        assert (first.train.raw([0, 1]) == second.train.raw([0, 1])).all()
        assert first.preprocess == second.preprocess

    def test_the_store_gives_the_same_data(self, name, options, tmp_path):
        config = DataConfig.model_validate({"dataset": options, "image_size": 7})
        plain = prepare(config, seed=0)
        for _ in range(2):
            stored = prepare(config, seed=0, cache_dir=tmp_path / "cache")
            assert stored.preprocess == plain.preprocess
            assert stored.class_names == plain.class_names
            for mine, theirs in ((stored.train, plain.train), (stored.test, plain.test)):
                assert (mine.indices == theirs.indices).all()
                assert (mine.labels == theirs.labels).all()
                assert (mine.raw(range(len(mine))) == theirs.raw(range(len(theirs)))).all()

    def test_a_missing_path_is_a_data_error(self, name, options, tmp_path):
        cls = DATASETS[name]
        given = [option for option in cls.Config.path_options if options.get(option)]
        for option in given:
            broken = cls.Config.model_validate({**options, option: str(tmp_path / "没有 this")})
            with pytest.raises(DataError, match="没有 this"):
                cls(broken).load()

"""From the section to parts: splits, checks, statistics, skipped files, stored pixels."""

import json
import logging
import mmap
import multiprocessing
import os

import numpy as np
import pytest
from PIL import Image

from paddle_automl.core.errors import DataError
from paddle_automl.data.config import Split
from paddle_automl.data.prepare import prepare
from paddle_automl.data.splitting import split_indices
from tests.unit.data import pictures


def folder(root, **options):
    return {"name": "image_folder", "root": str(root), **options}


class TestSplit:
    labels = np.repeat([0, 1, 2], [10, 20, 5])

    def split(self, given=None, seed=0, names="abc", labels=labels, **fractions):
        return split_indices(labels, tuple(names), given or {}, Split(**fractions), seed=seed)

    def test_shares_of_each_class(self):
        parts = self.split()
        counts = {part: np.bincount(self.labels[rows]).tolist() for part, rows in parts.items()}
        assert counts == {"train": [6, 12, 3], "validation": [2, 4, 1], "test": [2, 4, 1]}
        assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(35))

    def test_depends_on_the_seed_alone(self):
        same, again, other = self.split(seed=0), self.split(seed=0), self.split(seed=1)
        assert all((same[part] == again[part]).all() for part in same)
        assert any((same[part] != other[part]).any() for part in same)

    def test_given_parts_are_kept(self):
        given = {"train": np.arange(30), "test": np.arange(30, 35)}
        parts = self.split(given, names="ab", labels=np.repeat([0, 1], [15, 20]))
        assert parts["test"].tolist() == list(range(30, 35))
        assert len(parts["validation"]) == 6
        assert set(parts["train"]) | set(parts["validation"]) == set(range(30))
        given = {"validation": np.array([0, 11])}
        parts = self.split(given)
        assert parts["validation"].tolist() == [0, 11]
        assert len(parts["test"]) == 2 + 4 + 1

    def test_no_test_part(self):
        parts = self.split(test=0.0)
        assert len(parts["test"]) == 0
        assert parts["test"].dtype == np.int64

    def test_smallest_classes_still_reach_every_part(self):
        labels = np.repeat([0, 1], [3, 3])
        for fractions in ({"validation": 0.01, "test": 0.01}, {"validation": 0.49, "test": 0.5}):
            parts = self.split(labels=labels, names="ab", **fractions)
            assert all(np.bincount(labels[rows]).tolist() == [1, 1] for rows in parts.values())

    def test_too_few_images_of_a_class(self):
        with pytest.raises(
            DataError,
            match=r"at least 3 readable images \(one each for training, validation and test\), "
            r"but class '猫' has 2, 'dog' has 0",
        ):
            self.split(labels=np.repeat([0, 1], [9, 2]), names=("a", "猫", "dog"))
        with pytest.raises(DataError, match=r"at least 2 readable images \(one each for training, valid"):
            self.split(labels=np.repeat([0, 1], [9, 1]), names="ab", test=0.0)
        given = {part: np.array([0]) for part in ("train", "validation", "test")}
        with pytest.raises(DataError, match=r"at least 1 readable image \(for training\), but class 'b' has"):
            self.split(given, labels=np.repeat([0, 1], [9, 1]), names="ab")

    def test_one_class(self):
        with pytest.raises(DataError, match=r"at least 2 classes, found 1 \('only'\)"):
            self.split(labels=np.zeros(9, int), names=("only",))


class TestFolder:
    def test_parts(self, flowers, configure):
        data = prepare(configure(folder(flowers), image_size=[6, 8], fit="stretch"), seed=3)
        assert (len(data.train), len(data.validation), len(data.test)) == (12, 4, 4)
        assert data.class_names == ("sun flower", "郁金香")
        assert data.num_classes == 2
        assert data.input_shape == (3, 6, 8)
        assert len(data.joined()) == 16
        assert set(data.joined().files) == set(data.train.files) | set(data.validation.files)
        for part in (data.train, data.validation, data.test):
            for row, file in enumerate(part.files):
                assert file.parent.name == data.class_names[part.labels[row]]
                assert (part.raw([row])[0] == data.preprocess.decode(file)).all()

    def test_size_and_channels_by_themselves(self, tmp_path, configure):
        for name in "ab":
            for number in range(3):
                image = Image.new("L", (9, 9), 40 * number)
                pictures.save(image, tmp_path / name / f"{number}.png")
        assert prepare(configure(folder(tmp_path)), seed=0).input_shape == (1, 64, 64)
        assert prepare(configure(folder(tmp_path), channels=3), seed=0).input_shape == (3, 64, 64)
        pictures.save(pictures.plain(pictures.RED), tmp_path / "a" / "colour.png")
        assert prepare(configure(folder(tmp_path)), seed=0).input_shape == (3, 64, 64)
        assert prepare(configure(folder(tmp_path), channels=1), seed=0).input_shape == (1, 64, 64)

    def test_statistics_are_those_of_the_training_pixels(self, flowers, configure):
        data = prepare(configure(folder(flowers), image_size=8), seed=0)
        pixels = data.train.raw(range(len(data.train))) / 255
        np.testing.assert_allclose(data.preprocess.mean, pixels.mean(axis=(0, 2, 3)), atol=1e-6)
        np.testing.assert_allclose(data.preprocess.std, pixels.std(axis=(0, 2, 3)), atol=1e-6)
        (batch,) = data.train.batches(100)
        np.testing.assert_allclose(batch.images.mean(axis=(0, 2, 3)), 0, atol=1e-4)
        np.testing.assert_allclose(batch.images.std(axis=(0, 2, 3)), 1, atol=1e-4)

    def test_constant_pixels_have_a_usable_deviation(self, tmp_path, configure):
        for name in "ab":
            for number in range(3):
                pictures.save(pictures.plain(pictures.WHITE), tmp_path / name / f"{number}.png")
        (batch,) = prepare(configure(folder(tmp_path)), seed=0).train.batches(9)
        assert np.abs(batch.images).max() < 1e-3

    def test_unreadable_files_stop_the_run(self, flowers, configure):
        (flowers / "郁金香" / "空.jpg").write_bytes(b"")
        pictures.truncated(flowers / "sun flower" / "cut.jpg")
        with pytest.raises(DataError, match="2 of 22 images cannot be read") as caught:
            prepare(configure(folder(flowers)), seed=0)
        message = str(caught.value)
        assert f"{flowers}/郁金香/空.jpg: the file is empty (0 bytes)" in message
        assert f"{flowers}/sun flower/cut.jpg: cannot be decoded: " in message
        assert "data.on_error: skip" in message

    @pytest.mark.parametrize("in_memory", [True, False])
    def test_unreadable_files_are_left_out_and_listed(self, flowers, configure, caplog, in_memory):
        before = prepare(configure(folder(flowers), image_size=8), seed=0)
        bad = flowers / "sun flower" / "图 空.jpg"
        bad.write_bytes(b"")
        with caplog.at_level(logging.WARNING, "paddle_automl.data"):
            config = configure(folder(flowers), on_error="skip", in_memory=in_memory, image_size=8)
            data = prepare(config, seed=0)
        assert "1 of 21 images cannot be read and are left out" in caplog.text
        assert data.skipped == ((bad, "the file is empty (0 bytes)"),)
        for name in ("train", "validation", "test"):
            assert getattr(data, name).files == getattr(before, name).files

    def test_nothing_readable(self, tmp_path, configure):
        for name in "ab":
            (tmp_path / name).mkdir()
            (tmp_path / name / "x.png").write_bytes(b"")
        with pytest.raises(DataError, match="none of the 2 images can be read"):
            prepare(configure(folder(tmp_path), on_error="skip"), seed=0)

    def test_a_missing_file_of_a_list_is_named_with_its_line(self, flowers, configure):
        lines = [f"郁金香/图 0{n}.png t" for n in range(4)] + [f"sun flower/图 0{n}.png s" for n in range(4)]
        (flowers / "train.txt").write_text("\n".join([*lines, "gone.png s"]), encoding="utf-8")
        config = configure({"name": "image_list", "train": str(flowers / "train.txt")})
        with pytest.raises(DataError, match=r"train\.txt:9: .*gone\.png: the file does not exist"):
            prepare(config, seed=0)

    def test_files_in_two_parts_are_reported(self, flowers, configure, caplog):
        lines = [f"郁金香/图 0{n}.png t" for n in range(4)] + [f"sun flower/图 0{n}.png s" for n in range(4)]
        for name in ("train", "test"):
            (flowers / f"{name}.txt").write_text("\n".join(lines), encoding="utf-8")
        lists = {name: str(flowers / f"{name}.txt") for name in ("train", "test")}
        with caplog.at_level(logging.WARNING, "paddle_automl.data"):
            prepare(configure({"name": "image_list", **lists}), seed=0)
        assert "images of the test part are also in the training part" in caplog.text


class TestArrays:
    def test_native_size(self, configure):
        data = prepare(configure("digits"), seed=0)
        assert data.input_shape == (1, 8, 8)
        assert (len(data.train), len(data.validation), len(data.test)) == (1079, 359, 359)
        assert data.train.files is None

    def test_other_size_and_channels(self, configure):
        small = prepare(configure("digits"), seed=0)
        data = prepare(configure("digits", image_size=16, channels=3), seed=0)
        assert data.input_shape == (3, 16, 16)
        image = data.train.raw([0])[0]
        assert (image[0] == image[1]).all()
        expected = Image.fromarray(small.train.raw([0])[0, 0]).resize((16, 16), Image.Resampling.BILINEAR)
        assert (image[0] == np.asarray(expected)).all()

    def test_order_does_not_depend_on_the_process(self, configure):
        first, second = (prepare(configure("digits"), seed=5) for _ in range(2))
        assert (first.train.indices == second.train.indices).all()
        assert first.preprocess == second.preprocess
        assert (prepare(configure("digits"), seed=6).train.indices != first.train.indices).any()

    def test_empty_set(self, tmp_path, configure):
        np.savez(tmp_path / "a.npz", x_train=np.zeros((0, 4, 4), np.uint8), y_train=np.zeros(0, int))
        with pytest.raises(DataError, match="holds no images"):
            prepare(configure({"name": "npz", "path": str(tmp_path / "a.npz")}), seed=0)


def _prepare_in_child(dataset, cache, queue):
    from paddle_automl.data.config import DataConfig

    config = DataConfig.model_validate({"dataset": dataset, "image_size": 16})
    data = prepare(config, seed=0, cache_dir=cache)
    queue.put(int(data.train.raw(range(len(data.train))).astype(np.int64).sum()))


@pytest.fixture
def archive(tmp_path):
    """The file of an npz data set with 40 colour images of 6 x 8 pixels."""
    rng = np.random.default_rng(0)
    file = tmp_path / "数据 1.npz"
    np.savez(file, x_train=rng.integers(0, 256, (40, 6, 8, 3), np.uint8), y_train=np.array(["猫", "dog"] * 20))
    return file


def is_mapped(array):
    while isinstance(array, np.ndarray):
        array = array.base
    return isinstance(array, mmap.mmap)


class TestCache:
    def stored(self, cache):
        return sorted(path.name for path in cache.iterdir() if path.suffix == ".npy")

    def test_second_time_is_read_from_the_store(self, flowers, configure, tmp_path, monkeypatch):
        cache = tmp_path / "缓存 1"
        config = configure(folder(flowers), image_size=8)
        first = prepare(config, seed=0, cache_dir=cache)
        assert len(self.stored(cache)) == 1
        plain = prepare(config, seed=0)
        monkeypatch.setattr("paddle_automl.data.cache.decode_all", None)
        second = prepare(config, seed=0, cache_dir=cache)
        rows = range(len(first.train))
        assert (first.train.raw(rows) == second.train.raw(rows)).all()
        assert (second.train.raw(rows) == plain.train.raw(rows)).all()

    def test_another_size_or_a_changed_file_is_decoded_anew(self, flowers, configure, tmp_path):
        cache = tmp_path / "cache"
        for size in (8, 9):
            prepare(configure(folder(flowers), image_size=size), seed=0, cache_dir=cache)
        assert len(self.stored(cache)) == 2
        pictures.save(pictures.plain(pictures.RED), flowers / "郁金香" / "图 00.png")
        data = prepare(configure(folder(flowers), image_size=8), seed=0, cache_dir=cache)
        assert len(self.stored(cache)) == 3
        joined = [*data.train.files, *data.validation.files, *data.test.files]
        assert flowers / "郁金香" / "图 00.png" in joined

    def test_bad_files_are_remembered(self, flowers, configure, tmp_path, monkeypatch):
        (flowers / "郁金香" / "空.jpg").write_bytes(b"")
        for in_memory in (True, False):
            cache = tmp_path / f"cache {in_memory}"
            config = configure(folder(flowers), on_error="skip", in_memory=in_memory)
            first = prepare(config, seed=0, cache_dir=cache)
            with monkeypatch.context() as patch:
                patch.setattr("paddle_automl.data.cache.decode_all", None)
                second = prepare(config, seed=0, cache_dir=cache)
            assert first.skipped == second.skipped
            assert len(first.skipped) == 1
            (listed,) = [json.loads(path.read_text("utf-8")) for path in cache.glob("*.json")]
            assert len(listed) == 1

    @pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
    def test_folder_that_cannot_be_written(self, flowers, configure, tmp_path):
        cache = tmp_path / "cache"
        cache.mkdir(mode=0o500)
        data = prepare(configure(folder(flowers), image_size=8), seed=0, cache_dir=cache)
        assert len(data.train) == 12

    def test_a_file_in_the_way_costs_a_warning(self, flowers, configure, tmp_path, caplog):
        (tmp_path / "cache").write_text("x")
        with caplog.at_level(logging.WARNING, "paddle_automl.data"):
            data = prepare(configure(folder(flowers), image_size=8), seed=0, cache_dir=tmp_path / "cache")
        assert len(data.train) == 12
        assert "decoded images cannot be stored" in caplog.text

    def test_arrays_are_read_once_and_mapped(self, archive, configure, tmp_path, monkeypatch):
        cache, given = tmp_path / "缓存", {"name": "npz", "path": str(archive)}
        for size in (None, 5):
            config = configure(given, image_size=size)
            plain = prepare(config, seed=0)
            first = prepare(config, seed=0, cache_dir=cache)
            with monkeypatch.context() as patch:
                patch.setattr("paddle_automl.data.datasets.npz.Npz.load", None)
                patch.setattr("paddle_automl.data.prepare._statistics", None)
                second = prepare(config, seed=0, cache_dir=cache)
            for data in (first, second):
                assert is_mapped(data.train._store.images)
                assert data.preprocess == plain.preprocess
                assert data.class_names == ("dog", "猫")
                assert (data.train.raw(range(24)) == plain.train.raw(range(24))).all()
        assert len(self.stored(cache)) == 2

    def test_a_changed_array_file_or_option_is_read_anew(self, archive, configure, tmp_path):
        cache, given = tmp_path / "cache", {"name": "npz", "path": str(archive)}
        prepare(configure(given), seed=0, cache_dir=cache)
        assert prepare(configure(given, channels=1), seed=0, cache_dir=cache).input_shape == (1, 6, 8)
        assert len(self.stored(cache)) == 2
        np.savez(archive, x_train=np.full((40, 6, 8, 3), 7, np.uint8), y_train=np.arange(40) % 2)
        data = prepare(configure(given), seed=0, cache_dir=cache)
        assert (data.train.raw([0, 1]) == 7).all()
        assert data.class_names == ("0", "1")

    def test_a_relative_path_shares_the_store_with_the_absolute_one(
        self, archive, configure, tmp_path, monkeypatch
    ):
        cache = tmp_path / "cache"
        monkeypatch.chdir(tmp_path)
        prepare(configure({"name": "npz", "path": archive.name}), seed=0, cache_dir=cache)
        prepare(configure({"name": "npz", "path": str(archive)}), seed=0, cache_dir=cache)
        assert len(self.stored(cache)) == 1

    def test_pixels_that_were_deleted_are_read_anew(self, archive, configure, tmp_path):
        cache, config = tmp_path / "cache", configure({"name": "npz", "path": str(archive)})
        first = prepare(config, seed=0, cache_dir=cache).train.raw([0, 1])
        for file in cache.glob("*.npy"):
            file.unlink()
        assert (prepare(config, seed=0, cache_dir=cache).train.raw([0, 1]) == first).all()
        assert len(self.stored(cache)) == 1

    def test_a_full_disk_costs_a_warning(self, archive, configure, tmp_path, monkeypatch, caplog):
        def full(*_):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("paddle_automl.data.cache.np.save", full)
        with caplog.at_level(logging.WARNING, "paddle_automl.data"):
            data = prepare(configure({"name": "npz", "path": str(archive)}), seed=0, cache_dir=tmp_path / "cache")
        assert len(data.train) == 24
        assert "No space left on device" in caplog.text
        assert not list((tmp_path / "cache").glob(".*"))

    def test_statistics_follow_the_split(self, archive, configure, tmp_path):
        cache, config = tmp_path / "cache", configure({"name": "npz", "path": str(archive)})
        means = {prepare(config, seed=seed, cache_dir=cache).preprocess.mean for seed in (0, 1, 0)}
        assert means == {prepare(config, seed=seed).preprocess.mean for seed in (0, 1)}
        assert len(means) == 2

    @pytest.mark.parametrize("kind", ["files", "arrays"])
    def test_many_processes_at_once(self, kind, flowers, archive, tmp_path):
        dataset = folder(flowers) if kind == "files" else {"name": "npz", "path": str(archive)}
        context = multiprocessing.get_context("spawn")
        queue = context.Queue()
        cache = tmp_path / "cache"
        children = [context.Process(target=_prepare_in_child, args=(dataset, cache, queue)) for _ in range(3)]
        for child in children:
            child.start()
        sums = {queue.get(timeout=60) for _ in children}
        for child in children:
            child.join()
        assert len(sums) == 1
        assert len(self.stored(cache)) == 1
        assert not list(cache.glob(".*"))

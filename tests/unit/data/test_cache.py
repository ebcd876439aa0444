"""What is read once and stored: pixels of files and of arrays, statistics."""

import json
import logging
import mmap
import multiprocessing
import os

import numpy as np
import pytest

from paddle_automl.core.errors import DataError
from paddle_automl.data.config import DataConfig
from paddle_automl.data.prepare import prepare
from paddle_automl.inputs.image.decoding import Decoder
from tests.unit.data import pictures


def folder(root, **options):
    return {"name": "image_folder", "root": str(root), **options}


def _prepare_in_child(dataset, cache, queue):
    from paddle_automl.data.config import DataConfig

    config = DataConfig.model_validate({"dataset": dataset, "input": {"size": 16}})
    data = prepare(config, seed=0, cache_dir=cache)
    queue.put(int(data.train.raw(range(len(data.train))).astype(np.int64).sum()))


@pytest.fixture
def archive(tmp_path):
    """The file of an npz data set with 40 color images of 6 x 8 pixels."""
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
        config = configure(folder(flowers), size=8)
        first = prepare(config, seed=0, cache_dir=cache)
        assert len(self.stored(cache)) == 1
        plain = prepare(config, seed=0)
        monkeypatch.setattr("paddle_automl.data.cache.read_all", None)
        second = prepare(config, seed=0, cache_dir=cache)
        rows = range(len(first.train))
        assert (first.train.raw(rows) == second.train.raw(rows)).all()
        assert (second.train.raw(rows) == plain.train.raw(rows)).all()

    def test_another_size_or_a_changed_file_is_decoded_anew(self, flowers, configure, tmp_path):
        cache = tmp_path / "cache"
        for size in (8, 9):
            prepare(configure(folder(flowers), size=size), seed=0, cache_dir=cache)
        assert len(self.stored(cache)) == 2
        pictures.save(pictures.plain(pictures.RED), flowers / "郁金香" / "图 00.png")
        data = prepare(configure(folder(flowers), size=8), seed=0, cache_dir=cache)
        assert len(self.stored(cache)) == 3
        joined = [*data.train.sources, *data.validation.sources, *data.test.sources]
        assert flowers / "郁金香" / "图 00.png" in joined

    def test_bad_files_are_remembered(self, flowers, configure, tmp_path, monkeypatch):
        (flowers / "郁金香" / "空.jpg").write_bytes(b"")
        for in_memory in (True, False):
            cache = tmp_path / f"cache {in_memory}"
            config = configure(folder(flowers), on_error="skip", in_memory=in_memory)
            first = prepare(config, seed=0, cache_dir=cache)
            with monkeypatch.context() as patch:
                patch.setattr("paddle_automl.data.cache.read_all", None)
                second = prepare(config, seed=0, cache_dir=cache)
            assert first.skipped == second.skipped
            assert len(first.skipped) == 1
            (listed,) = [json.loads(path.read_text("utf-8")) for path in cache.glob("*.json")]
            assert len(listed["failures"]) == 1

    @pytest.mark.parametrize("in_memory", [True, False])
    def test_a_file_that_can_be_read_again_is_read(self, flowers, configure, tmp_path, monkeypatch, in_memory):
        """As after a change of its owner, which changes neither its time, nor its size, nor its mode."""
        file, twin = (flowers / "郁金香" / name for name in ("图 00.png", "图 99.png"))
        twin.write_bytes(file.read_bytes())
        config, cache = configure(folder(flowers), on_error="skip", in_memory=in_memory), tmp_path / "cache"
        away, call = {file, flowers / "郁金香" / "图 01.png"}, Decoder.__call__

        def refused(reader, source):
            if source in away:
                raise DataError(f"{source}: cannot be read: Permission denied")
            return call(reader, source)

        with monkeypatch.context() as patch:
            patch.setattr(Decoder, "__call__", refused)
            first = prepare(config, seed=0, cache_dir=cache)
            away.remove(file)
            second = prepare(config, seed=0, cache_dir=cache)
            assert [len(data.skipped) for data in (first, second)] == [2, 1]
        monkeypatch.setattr("paddle_automl.data.stores.TRIED", 0)
        third, plain = prepare(config, seed=0, cache_dir=cache), prepare(config, seed=0)
        assert len(third.skipped) == 1, "none of those that are tried can be read"
        monkeypatch.undo()
        third = prepare(config, seed=0, cache_dir=cache)
        assert not third.skipped
        for name in ("train", "validation", "test"):
            one, other = getattr(third, name), getattr(plain, name)
            assert np.array_equal(one.indices, other.indices), "copies stay together"
            assert np.array_equal(one.raw(range(len(one))), other.raw(range(len(one))))
        assert np.array_equal(third.items.content, plain.items.content)
        assert third.input.fitted == plain.input.fitted

    @pytest.mark.skipif(os.geteuid() == 0, reason="root writes anywhere")
    def test_folder_that_cannot_be_written(self, flowers, configure, tmp_path):
        cache = tmp_path / "cache"
        cache.mkdir(mode=0o500)
        data = prepare(configure(folder(flowers), size=8), seed=0, cache_dir=cache)
        assert len(data.train) == 12

    def test_a_file_in_the_way_costs_a_warning(self, flowers, configure, tmp_path, caplog):
        (tmp_path / "cache").write_text("x")
        with caplog.at_level(logging.WARNING, "paddle_automl.data"):
            data = prepare(configure(folder(flowers), size=8), seed=0, cache_dir=tmp_path / "cache")
        assert len(data.train) == 12
        assert "data cannot be stored" in caplog.text

    def test_arrays_are_read_once_and_mapped(self, archive, configure, tmp_path, monkeypatch):
        cache, given = tmp_path / "缓存", {"name": "npz", "path": str(archive)}
        for size in (None, 5):
            config = configure(given, size=size)
            plain = prepare(config, seed=0)
            first = prepare(config, seed=0, cache_dir=cache)
            with monkeypatch.context() as patch:
                patch.setattr("paddle_automl.data.datasets.npz.Npz.load", None)
                patch.setattr("paddle_automl.inputs.image.input.ImageInput.measure", None)
                second = prepare(config, seed=0, cache_dir=cache)
            for data in (first, second):
                assert is_mapped(data.train.everything.store.items)
                assert data.input.fitted == plain.input.fitted
                assert data.task.names == ("dog", "猫")
                assert (data.train.raw(range(24)) == plain.train.raw(range(24))).all()
        assert len(self.stored(cache)) == 2

    def test_a_changed_array_file_or_option_is_read_anew(self, archive, configure, tmp_path):
        cache, given = tmp_path / "cache", {"name": "npz", "path": str(archive)}
        prepare(configure(given), seed=0, cache_dir=cache)
        assert prepare(configure(given, channels=1), seed=0, cache_dir=cache).input.shape == (1, 6, 8)
        assert len(self.stored(cache)) == 2
        np.savez(archive, x_train=np.full((40, 6, 8, 3), 7, np.uint8), y_train=np.arange(40) % 2)
        data = prepare(configure(given), seed=0, cache_dir=cache)
        assert (data.train.raw([0, 1]) == 7).all()
        assert data.task.names == ("0", "1")

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
        means = {prepare(config, seed=seed, cache_dir=cache).input.fitted.mean for seed in (0, 1, 0)}
        assert means == {prepare(config, seed=seed).input.fitted.mean for seed in (0, 1)}
        assert len(means) == 2

    def test_a_file_that_becomes_another_split_is_read_anew(self, tmp_path):
        files = [tmp_path / name for name in ("a.csv", "b.csv")]
        for number, file in enumerate(files):
            lines = [f"text {number} {row},{'xy'[row % 2]}" for row in range(20)]
            file.write_text("\n".join(["text,label", *lines]), encoding="utf-8")
        for split in ("validation", "test", "validation"):
            dataset = {"name": "text_table", "file": str(files[0]), split: str(files[1]), "text": "text"}
            config = DataConfig.model_validate({"dataset": {**dataset, "label": "label"}})
            data = prepare(config, seed=0, cache_dir=tmp_path / "cache")
            assert set(getattr(data, split).raw(range(20))) == {f"text 1 {n}" for n in range(20)}

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

"""Preparing what is no image: texts of any length, which are objects, and rows of numbers."""

import logging
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from paddle_automl.core.errors import ConfigError, DataError
from paddle_automl.core.registry import registrations, take_back
from paddle_automl.core.schema import PluginConfig
from paddle_automl.data.augment.base import AUGMENTATIONS, Augmentation, build_augmenter
from paddle_automl.data.datasets.base import DATASETS, Dataset, DatasetConfig
from paddle_automl.data.prepare import prepare, read_all
from paddle_automl.data.samples import Samples
from paddle_automl.data.stores import ArrayStore, SourceStore
from paddle_automl.inputs.base import INPUTS, Fitted, Input, InputConfig, Reader, TensorSpec
from paddle_automl.tasks.base import RawTargets

TEXTS = tuple(f"{'good' if number % 2 else 'bad'} {'x ' * (number % 7)}{number}" for number in range(40))


@dataclass(frozen=True)
class Characters(Reader):
    """A text as the numbers of its characters."""

    longest: int

    def __call__(self, source):
        text = source.read_text("utf-8") if isinstance(source, Path) else source
        if not text.strip():
            raise DataError(f"{source}: is empty")
        return np.frombuffer(text.encode("utf-32-le"), np.uint32)[: self.longest]

    def empty(self, count):
        return np.empty(count, dtype=object)

    def convert(self, items):
        result = self.empty(len(items))
        for row, text in enumerate(items):
            result[row] = self(text)
        return result


class TextInput(Input):
    """Characters padded to the longest of the batch."""

    word = "text"

    class Config(InputConfig):
        longest: int = 50

    class Fitted(Fitted):
        longest: int
        highest: int

    @classmethod
    def reader(cls, config, *, sources, items):
        assert (sources is None) != (items is None)
        return Characters(config.longest)

    @classmethod
    def measure(cls, config, reader, batches):
        return {"highest": max(int(text.max()) for batch in batches for text in batch)}

    @classmethod
    def fit(cls, config, reader, statistics):
        return cls(cls.Fitted(name=cls.name, longest=reader.longest, highest=statistics["highest"]))

    @property
    def specs(self):
        return (TensorSpec("tokens", (None,), "int64"),)

    def read(self, source):
        return Characters(self.fitted.longest)(source)

    def batch(self, items):
        padded = np.zeros((len(items), max(map(len, items))), np.int64)
        for row, text in enumerate(items):
            padded[row, : len(text)] = text
        return {"tokens": padded}

    def find(self, paths):
        return list(paths)

    def describe(self, source):
        return str(source)

    def write(self, item, stem):
        raise NotImplementedError

    def example(self, count, rng):
        return {"tokens": rng.integers(0, 100, (count, 5))}


class VectorInput(TextInput):
    """Rows of numbers, as they are."""

    word = "row"

    class Config(InputConfig):
        pass

    class Fitted(Fitted):
        width: int

    @dataclass(frozen=True)
    class Rows(Reader):
        width: int

        def __call__(self, source):
            return np.asarray(source, np.float32)

        def empty(self, count):
            return np.zeros((count, self.width), np.float32)

        def convert(self, items):
            return np.ascontiguousarray(items, dtype=np.float32)

    @classmethod
    def reader(cls, config, *, sources, items):
        return cls.Rows(items.shape[1] if items is not None else len(sources[0]))

    @classmethod
    def measure(cls, config, reader, batches):
        return {"count": sum(len(batch) for batch in batches)}

    @classmethod
    def fit(cls, config, reader, statistics):
        return cls(cls.Fitted(name=cls.name, width=reader.width))

    @property
    def specs(self):
        return (TensorSpec("row", (self.fitted.width,)), TensorSpec("twice", (self.fitted.width,)))

    def batch(self, items):
        return {"row": items, "twice": 2 * items}


class _Set(Dataset):
    """A data set of one's own; `form` says how it hands over its items."""

    class Config(DatasetConfig):
        path_options: ClassVar[tuple[str, ...]] = ("file",)
        form: str = "items"
        file: str | None = None

    def __init__(self, config):
        self.config = config

    def sources(self):
        return (Path(self.config.file),) if self.config.file else ()


class TextSet(_Set):
    input = "toy_text"

    def load(self):
        targets = RawTargets("classes", np.arange(40) % 2, ("bad", "good"))
        if self.config.form == "items":
            return Samples(targets, items=np.array(TEXTS, dtype=object))
        return Samples(targets, sources=TEXTS[:-1] + ((" ",) if self.config.form == "broken" else TEXTS[-1:]))


class VectorSet(_Set):
    input = "toy_vector"
    loads = 0

    def load(self):
        type(self).loads += 1
        rows = np.random.default_rng(0).standard_normal((50, 3))
        targets = RawTargets("numbers", rows.sum(axis=1, keepdims=True), ("sum",))
        if self.config.form == "items":
            return Samples(targets, items=rows, columns={"who": tuple(f"p{row // 5}" for row in range(50))})
        return Samples(targets, sources=tuple(map(tuple, rows.tolist())))


class AddNoise(Augmentation):
    takes: ClassVar[frozenset[str]] = frozenset({"toy_vector"})

    def __init__(self, config):
        pass

    def __call__(self, values, targets, rng):
        return values + rng.random(values.shape, dtype=np.float32), targets


@pytest.fixture(autouse=True)
def registered():
    """Register the classes above for one test."""
    before = len(registrations())
    INPUTS.register("toy_text")(TextInput)
    INPUTS.register("toy_vector")(VectorInput)
    DATASETS.register("toy_texts")(TextSet)
    DATASETS.register("toy_vectors")(VectorSet)
    AUGMENTATIONS.register("add_noise")(AddNoise)
    yield
    take_back(registrations()[before:])


class TestTexts:
    @pytest.mark.parametrize("form", ["items", "sources"])
    @pytest.mark.parametrize("cached", [False, True])
    def test_objects_are_kept_in_memory_and_never_stored(self, configure, tmp_path, form, cached):
        file = tmp_path / "texts.txt"
        file.write_text("x")
        given = {"name": "toy_texts", "form": form, "file": str(file) if form == "items" and cached else None}
        config = configure(given, in_memory=False)
        for _ in range(2):
            data = prepare(config, seed=0, cache_dir=tmp_path / "cache" if cached else None)
            assert isinstance(data.train.everything.store, ArrayStore)
            assert (len(data.train), len(data.validation), len(data.test)) == (24, 8, 8)
            assert data.input.fitted.highest == max(map(ord, "".join(TEXTS)))
            (batch,) = data.test.batches(100)
            assert batch.inputs["tokens"].dtype == np.int64
            read = ["".join(map(chr, row[row > 0])) for row in batch.inputs["tokens"]]
            assert read == [TEXTS[row] for row in data.test.indices]
        stored = (tmp_path / "cache").rglob("*.np?") if cached else ()
        assert not list(stored)

    def test_what_cannot_be_read_is_called_by_its_name(self, configure):
        with pytest.raises(DataError, match=r"1 of 40 texts cannot be read"):
            prepare(configure({"name": "toy_texts", "form": "broken"}), seed=0)
        data = prepare(configure({"name": "toy_texts", "form": "broken"}, on_error="skip"), seed=0)
        assert data.skipped == ((" ", "is empty"),)

    def test_options_of_the_input(self, configure):
        config = configure("toy_texts")
        assert config.input.name == "toy_text"
        short = config.model_validate({"dataset": "toy_texts", "input": {"longest": 4}})
        assert prepare(short, seed=0).train.batches(8).__next__().inputs["tokens"].shape == (8, 4)
        with pytest.raises(ValueError, match="has toy_text input, got 'image'"):
            config.model_validate({"dataset": "toy_texts", "input": "image"})

    def test_augmentations_of_images_are_refused(self, configure):
        config = configure("toy_texts", augment=["random_crop", "mixup"])
        with pytest.raises(ConfigError) as caught:
            build_augmenter(config.augment, prepare(config, seed=0).input)
        first, second = caught.value.issues
        assert first.startswith("data.augment.0: 'random_crop' changes image input, but the data set has toy_text")
        assert (
            "data.augment.1: 'mixup' mixes arrays of float32, but the main array of toy_text input is int64"
            in second
        )

    def test_no_resolution(self, configure):
        data = prepare(configure("toy_texts"), seed=0)
        with pytest.raises(ConfigError, match=r"training\.progressive\.resolution: toy_text input has no"):
            next(data.train.batches(4, shrink=0.5))


class TestVectors:
    def test_arrays_are_stored_with_targets_and_columns(self, configure, tmp_path):
        (tmp_path / "rows.bin").write_bytes(b"1")
        given = {"name": "toy_vectors", "file": str(tmp_path / "rows.bin")}
        config = configure(given, group="who")
        plain = prepare(config, seed=0)
        VectorSet.loads = 0
        for _ in range(3):
            data = prepare(config, seed=0, cache_dir=tmp_path / "cache")
            assert (data.train.raw(range(20)) == plain.train.raw(range(20))).all()
            assert (data.train.codes == plain.train.codes).all()
            groups = [set((part.indices // 5).tolist()) for part in (data.train, data.validation, data.test)]
            assert sum(map(len, groups)) == 10
        assert VectorSet.loads == 1

    def test_several_arrays_in_their_order(self, configure):
        data = prepare(configure("toy_vectors"), seed=0)
        batch = next(data.train.batches(4))
        assert list(batch.inputs) == ["row", "twice"] == [spec.name for spec in data.specs]
        assert (batch.inputs["twice"] == 2 * batch.inputs["row"]).all()

    @pytest.mark.parametrize("workers", [0, 2])
    def test_sources_that_are_no_files_can_be_streamed(self, configure, workers):
        given = {"name": "toy_vectors", "form": "sources"}
        kept = prepare(configure(given), seed=0)
        streamed = prepare(configure(given, in_memory=False, loader_workers=workers), seed=0)
        assert isinstance(streamed.train.everything.store, SourceStore)
        pairs = zip(kept.train.batches(7), streamed.train.batches(7), strict=True)
        assert all((one.inputs["row"] == two.inputs["row"]).all() for one, two in pairs)

    def test_augmentations_change_the_main_array(self, configure):
        config = configure("toy_vectors", augment=["add_noise", "mixup"])
        data = prepare(config, seed=0)
        augmenter = build_augmenter(config.augment, data.input)
        assert augmenter.main == "row"
        rng = np.random.default_rng(0)
        batch = next(data.train.batches(30, rng=rng, augment=augmenter))
        raw = data.train.raw(batch.rows)
        # Noise is added before the input makes its arrays, so that both have it; mixup changes the main one alone.
        assert (batch.inputs["twice"] / 2 >= raw - 1e-6).all()
        assert not np.allclose(batch.inputs["row"], batch.inputs["twice"] / 2)
        assert not np.allclose(batch.targets, data.task.dense(batch.codes))

    def test_all_items_as_one_split(self, configure):
        data = prepare(configure("toy_vectors"), seed=0)
        split = read_all(configure("toy_vectors"), input=data.input, task=data.task)
        assert len(split) == 50
        assert split.task is data.task

    def test_copies_are_called_by_their_name(self, configure, caplog, monkeypatch):
        load = VectorSet.load

        def doubled(self):
            samples = load(self)
            items = np.concatenate([samples.items[:25]] * 2)
            values = np.concatenate([samples.targets.values[:25]] * 2)
            return Samples(RawTargets("numbers", values, ("sum",)), items=items)

        monkeypatch.setattr(VectorSet, "load", doubled)
        with caplog.at_level(logging.WARNING, "paddle_automl.data"):
            data = prepare(configure("toy_vectors"), seed=0)
        assert (
            "25 rows of 50 with the same content as another one, for example number 0 and number 25" in caplog.text
        )
        where = [set((part.indices % 25).tolist()) for part in (data.train, data.validation, data.test)]
        assert sum(map(len, where)) == 25


def test_a_reader_that_depends_on_all_items_is_not_stored(configure, tmp_path, monkeypatch):
    """A reader is made again from the first item; one that would then be another is left out of the store."""
    monkeypatch.setattr(
        VectorInput,
        "reader",
        classmethod(lambda cls, config, *, sources, items: cls.Rows(items.shape[1] * len(items))),
    )
    monkeypatch.setattr(VectorInput.Rows, "convert", lambda self, items: np.asarray(items, np.float32))
    (tmp_path / "rows.bin").write_bytes(b"1")
    config = configure({"name": "toy_vectors", "file": str(tmp_path / "rows.bin")})
    for _ in range(2):
        data = prepare(config, seed=0, cache_dir=tmp_path / "cache")
        assert data.input.fitted.width == 150
    assert not list((tmp_path / "cache").glob("*.npy"))


def test_the_options_of_a_plugin_without_options():
    assert AUGMENTATIONS["add_noise"].Config is PluginConfig

"""From the section to splits: checks, statistics, skipped files, arrays."""

import logging

import numpy as np
import pytest
from PIL import Image

from paddle_automl.core.errors import ConfigError, DataError
from paddle_automl.data.config import DataConfig
from paddle_automl.data.facts import find_facts
from paddle_automl.data.prepare import prepare
from paddle_automl.tasks.base import TASKS
from tests.unit.data import pictures


def folder(root, **options):
    return {"name": "image_folder", "root": str(root), **options}


class TestFolder:
    def test_parts(self, flowers, configure):
        data = prepare(configure(folder(flowers), size=[6, 8], fit="stretch"), seed=3)
        assert (len(data.train), len(data.validation), len(data.test)) == (12, 4, 4)
        assert data.task.names == ("sun flower", "郁金香")
        assert data.task.outputs == 2
        assert data.input.shape == (3, 6, 8)
        assert len(data.joined()) == 16
        assert set(data.joined().sources) == set(data.train.sources) | set(data.validation.sources)
        for part in (data.train, data.validation, data.test):
            for row, file in enumerate(part.sources):
                assert file.parent.name == data.task.names[part.codes[row]]
                assert (part.raw([row])[0] == data.input.read(file)).all()

    def test_size_and_channels_by_themselves(self, tmp_path, configure):
        for name in "ab":
            for number in range(3):
                image = Image.new("L", (9, 9), 40 * number)
                pictures.save(image, tmp_path / name / f"{number}.png")
        assert prepare(configure(folder(tmp_path)), seed=0).input.shape == (1, 64, 64)
        assert prepare(configure(folder(tmp_path), channels=3), seed=0).input.shape == (3, 64, 64)
        pictures.save(pictures.plain(pictures.RED), tmp_path / "a" / "color.png")
        assert prepare(configure(folder(tmp_path)), seed=0).input.shape == (3, 64, 64)
        assert prepare(configure(folder(tmp_path), channels=1), seed=0).input.shape == (1, 64, 64)

    @pytest.mark.parametrize(
        ("sizes", "expected"),
        [
            ([(20, 28)] * 6, (28, 20)),
            ([(64, 64)] * 6, (64, 64)),
            ([(65, 65)] * 6, (64, 64)),
            ([(40, 50), (50, 40), (44, 44), (48, 60), (60, 48), (44, 50)], (44, 44)),
            ([(9, 9), (10, 9)] * 3, (32, 32)),
            ([(500, 300), (300, 500)] * 3, (64, 64)),
        ],
    )
    def test_auto_leaves_small_images_as_they_are(self, tmp_path, configure, sizes, expected):
        for number, size in enumerate(sizes):
            pictures.save(Image.new("L", size, 40 * number), tmp_path / "ab"[number % 2] / f"{number}.png")
        config = configure(folder(tmp_path), size="auto")
        assert prepare(config, seed=0).input.shape == (1, *expected)
        assert find_facts(config).shape(config) == (1, *expected)

    def test_auto_means_the_size_of_a_photo_as_it_is_seen(self, tmp_path, configure):
        exif = Image.Exif()
        exif[0x0112] = 6
        for number in range(6):
            image = Image.new("RGB", (40, 30), (40 * number, 0, 0))
            pictures.save(image, tmp_path / "ab"[number % 2] / f"{number}.jpg", exif=exif)
        assert prepare(configure(folder(tmp_path), size="auto"), seed=0).input.size == (40, 30)

    def test_auto_takes_arrays_as_they_are(self, configure):
        assert prepare(configure({"name": "digits"}, size="auto"), seed=0).input.size == (8, 8)

    @pytest.mark.parametrize(
        ("split", "items"),
        [({"validation": 0.2, "test": 0.2}, 1078), ({"validation": 0.5, "test": 0.0}, 898)],
    )
    def test_the_size_of_the_training_split_is_known_before_it_is_read(self, configure, split, items):
        config = configure({"name": "digits"}, split=split)
        assert find_facts(config).training_items == items
        assert abs(len(prepare(config, seed=0).train) - items) <= 10

    def test_and_so_it_is_where_the_test_split_is_drawn_from_a_training_split(self, tmp_path, configure):
        for part, count in (("train", 20), ("val", 4)):
            for number in range(count):
                image = Image.new("L", (9, 9), 10 * number)
                pictures.save(image, tmp_path / part / "ab"[number % 2] / f"{number}.png")
        config = configure(folder(tmp_path), split={"validation": 0.2, "test": 0.4})
        data = prepare(config, seed=0)
        assert (len(data.train), len(data.validation), len(data.test)) == (12, 4, 8)
        assert find_facts(config).training_items == 12

    def test_statistics_are_those_of_the_training_pixels(self, flowers, configure):
        data = prepare(configure(folder(flowers), size=8), seed=0)
        pixels = data.train.raw(range(len(data.train))) / 255
        np.testing.assert_allclose(data.input.fitted.mean, pixels.mean(axis=(0, 2, 3)), atol=1e-6)
        np.testing.assert_allclose(data.input.fitted.std, pixels.std(axis=(0, 2, 3)), atol=1e-6)
        (batch,) = data.train.batches(100)
        np.testing.assert_allclose(batch.inputs["image"].mean(axis=(0, 2, 3)), 0, atol=1e-4)
        np.testing.assert_allclose(batch.inputs["image"].std(axis=(0, 2, 3)), 1, atol=1e-4)

    def test_constant_pixels_have_a_usable_deviation(self, tmp_path, configure):
        for name in "ab":
            for number in range(3):
                pictures.save(pictures.plain(pictures.WHITE), tmp_path / name / f"{number}.png")
        (batch,) = prepare(configure(folder(tmp_path)), seed=0).train.batches(9)
        assert np.abs(batch.inputs["image"]).max() < 1e-3

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
        before = prepare(configure(folder(flowers), size=8), seed=0)
        bad = flowers / "sun flower" / "图 空.jpg"
        bad.write_bytes(b"")
        with caplog.at_level(logging.WARNING, "paddle_automl.data"):
            config = configure(folder(flowers), on_error="skip", in_memory=in_memory, size=8)
            data = prepare(config, seed=0)
        assert "1 of 21 images cannot be read and are left out" in caplog.text
        assert data.skipped == ((bad, "the file is empty (0 bytes)"),)
        for name in ("train", "validation", "test"):
            assert getattr(data, name).sources == getattr(before, name).sources

    def test_nothing_readable(self, tmp_path, configure):
        for name in "ab":
            (tmp_path / name).mkdir()
            (tmp_path / name / "x.png").write_bytes(b"")
        with pytest.raises(DataError, match="none of the 2 images can be read"):
            prepare(configure(folder(tmp_path), on_error="skip"), seed=0)

    @pytest.mark.parametrize(
        ("name", "reason"),
        [("gone.png", "the file does not exist"), ("a\0b.png", "cannot be decoded: embedded null")],
    )
    def test_a_missing_file_of_a_list_is_named_with_its_line(self, flowers, configure, name, reason):
        lines = [f"郁金香/图 0{n}.png t" for n in range(4)] + [f"sun flower/图 0{n}.png s" for n in range(4)]
        (flowers / "train.txt").write_text("\n".join([*lines, f"{name} s"]), encoding="utf-8")
        config = configure({"name": "image_list", "train": str(flowers / "train.txt")})
        with pytest.raises(DataError, match=rf"train\.txt:9: .*\.png: {reason}"):
            prepare(config, seed=0)

    def test_files_in_two_parts_are_reported(self, flowers, configure, caplog):
        lines = [f"郁金香/图 0{n}.png t" for n in range(4)] + [f"sun flower/图 0{n}.png s" for n in range(4)]
        for name in ("train", "test"):
            (flowers / f"{name}.txt").write_text("\n".join(lines), encoding="utf-8")
        lists = {name: str(flowers / f"{name}.txt") for name in ("train", "test")}
        with caplog.at_level(logging.WARNING, "paddle_automl.data"):
            prepare(configure({"name": "image_list", **lists}), seed=0)
        assert "8 images of the test split are also in the training or the validation split" in caplog.text


def written(root, name, item, copies=1):
    """Write an image under so many names that do not say that they are one."""
    paths = [root / f"{name} {chr(97 + number)}.png" for number in range(copies)]
    return [pictures.save(item, path) for path in paths]


class TestCopies:
    """The same picture more than once: by content, not by name."""

    @pytest.fixture
    def thrice(self, tmp_path):
        rng = np.random.default_rng(0)
        for label in ("cat", "dog"):
            for number in range(10):
                written(tmp_path / label, f"{number:02d}", pictures.noise(rng), copies=3)
        return tmp_path

    @pytest.mark.parametrize("in_memory", [True, False])
    def test_copies_stay_in_one_split_and_are_said(self, thrice, configure, caplog, in_memory):
        data = prepare(configure(folder(thrice), size=8, in_memory=in_memory), seed=0)
        parts = [{(file.parent.name, file.name[:2]) for file in part.sources} for part in splits(data)]
        assert sum(map(len, parts)) == 20
        assert [len(part) for part in splits(data)] == [36, 12, 12]
        assert "40 images of 60 with the same content as another one, for example" in caplog.text
        assert "also in the training" not in caplog.text

    def test_the_same_pixels_in_another_file_are_a_copy(self, flowers, configure, caplog):
        """A picture that was saved again: other bytes, the same pixels."""
        rows = sorted((flowers / "郁金香").iterdir())
        for number, file in enumerate(rows[:4]):
            pictures.save(Image.open(file), flowers / "郁金香" / f"again {number}.bmp")
        data = prepare(configure(folder(flowers), size=8), seed=1)
        where = [{file.name.removeprefix("again ")[-6:] for file in part.sources} for part in splits(data)]
        assert where
        assert "4 images of 24 with the same content" in caplog.text
        assert "also in the training" not in caplog.text

    def test_copies_over_given_splits_are_counted(self, tmp_path, configure, caplog):
        for name in ("train", "test"):
            pictures.class_folder(tmp_path / name, {"a": 4, "b": 4})
        prepare(configure(folder(tmp_path), size=8), seed=0)
        assert "8 images of the test split are also in the training or the validation split" in caplog.text

    def test_arrays_too(self, tmp_path, configure, caplog):
        images = np.random.default_rng(0).integers(0, 256, (20, 4, 4), dtype=np.uint8)
        np.savez(tmp_path / "a.npz", x_train=np.concatenate([images, images]), y_train=np.arange(40) % 2)
        config = configure({"name": "npz", "path": str(tmp_path / "a.npz")})
        for cache in (None, tmp_path / "cache", tmp_path / "cache"):
            caplog.clear()
            data = prepare(config, seed=0, cache_dir=cache)
            where = [set((part.indices % 20).tolist()) for part in splits(data)]
            assert sum(map(len, where)) == 20
            assert "20 images of 40 with the same content as another one, for example number 0 and" in caplog.text

    def test_one_picture_with_two_targets_is_said(self, flowers, configure, caplog):
        picture = Image.open(next((flowers / "郁金香").iterdir()))
        pictures.save(picture, flowers / "sun flower" / "again.png")
        prepare(configure(folder(flowers), size=8), seed=0)
        assert "the same content but a different target: 1 image, for example" in caplog.text


def options_of(given):
    """Return the options with which other data are read as this input's were."""
    return given.stated().model_dump(exclude={"name"})


def splits(data):
    return data.train, data.validation, data.test


class TestDeepImages:
    """Grey images of more than 8 bits, of which cameras use 10, 12 or 14."""

    @pytest.fixture
    def deep(self, tmp_path):
        def make(low, high, form="png"):
            rng = np.random.default_rng(0)
            for label, offset in (("a", low), ("b", high)):
                for number in range(6):
                    values = rng.integers(offset, offset + 20, (9, 9)).astype(np.uint16)
                    pictures.save(Image.fromarray(values), tmp_path / label / f"{number}.{form}")
            return tmp_path

        return make

    @pytest.mark.parametrize(("high", "top", "form"), [(3900, 4095, "png"), (900, 1023, "tif"), (200, 255, "png")])
    def test_the_range_in_use_is_kept(self, deep, configure, high, top, form):
        data = prepare(configure(folder(deep(high - 100, high, form)), size=9), seed=0)
        assert data.input.fitted.range == (0, top)
        levels = data.train.raw(range(len(data.train))).mean(axis=(1, 2, 3))
        means = [levels[data.train.codes == code].mean() for code in (0, 1)]
        assert means[1] - means[0] == pytest.approx(100 / top * 255, abs=1.5)

    def test_values_above_the_range_of_the_sample_are_told_once(
        self, deep, configure, caplog, tmp_path_factory, monkeypatch
    ):
        root, cache = deep(3000, 3900), tmp_path_factory.mktemp("cache")
        for number, value in ((2, 4096), (4, 30000)):
            values = np.full((9, 9), 100, np.uint16)
            values[4, 4] = value
            pictures.save(Image.fromarray(values), root / "a" / f"{number}.png")
        # The sample holds the files with even positions alone.
        monkeypatch.setattr("paddle_automl.inputs.image.input.SAMPLE", 4)
        config = configure(folder(root), size=9)
        data = prepare(config, seed=0, cache_dir=cache)
        assert data.input.fitted.range == (0, 4095)
        told = (
            "2 images have values above 4095, the range of a sample of the files, which become white (for example "
        )
        assert caplog.text.count(told) == 1
        assert "4.png, up to 30000); if they matter, set data.input.range: [0, 32767]" in caplog.text
        again = prepare(config, seed=0, cache_dir=cache)
        assert again.input.fitted == data.input.fitted
        prepare(configure(folder(root), size=9, range=[0, 4095]), seed=0, cache_dir=cache)
        assert caplog.text.count("which become white") == 1, "neither of stored images nor of a stated range"

    def test_sixteen_bits_are_as_ever(self, deep, configure):
        data = prepare(configure(folder(deep(100, 60000)), size=9), seed=0)
        assert data.input.fitted.range is None
        assert data.train.raw(range(8)).max() == round(60019 / 257)

    def test_a_stated_range(self, deep, configure, caplog):
        root = deep(30000, 30100)
        data = prepare(configure(folder(root), size=9), seed=0)
        assert "have values from 30000 to 30119, nearly one grey level of 0 to 32767" in caplog.text
        assert "data.input.range: [30000, 30119]" in caplog.text
        caplog.clear()
        data = prepare(configure(folder(root), size=9, range=[30000, 30119]), seed=0)
        assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
        levels = data.train.raw(range(len(data.train))).mean(axis=(1, 2, 3))
        assert np.ptp(levels) > 200
        again = prepare(configure(folder(root), size=9, range=list(data.input.stated().range)), seed=0)
        assert again.input.fitted == data.input.fitted

    def test_a_stated_range_is_kept_by_other_readers(self, deep, configure):
        data = prepare(configure(folder(deep(3000, 3900)), size=9), seed=0)
        other = prepare(configure(folder(deep(100, 200)), **options_of(data.input)), seed=0)
        assert other.input.fitted.range == data.input.fitted.range

    def test_nearly_black_images_are_said(self, tmp_path, configure, caplog):
        """What a program that saved 12 bits as color leaves: eight bits with few of them used."""
        rng = np.random.default_rng(0)
        for label in "ab":
            for number in range(4):
                pixels = rng.integers(0, 4, (8, 8, 3), dtype=np.uint8)
                pictures.save(Image.fromarray(pixels), tmp_path / label / f"{number}.png")
        prepare(configure(folder(tmp_path), size=8), seed=0)
        assert "nearly of one grey level after reading: values from 0 to 3 of 0 to 255" in caplog.text


class TestChannels:
    def test_files_that_cannot_be_read_have_no_vote(self, tmp_path, configure):
        for name in "ab":
            for number in range(4):
                image = Image.fromarray(np.full((9, 9), 10 * number + ord(name) % 5, np.uint8))
                pictures.save(image, tmp_path / name / f"{number}.png")
        (tmp_path / "a" / "0 empty.png").write_bytes(b"")
        pictures.truncated(tmp_path / "a" / "0 cut.jpg", keep=0.01)
        assert prepare(configure(folder(tmp_path), on_error="skip"), seed=0).input.shape == (1, 64, 64)


class TestOtherInputsAndTasks:
    def test_another_task_reads_the_same_targets(self, flowers, configure):
        data = prepare(configure(folder(flowers), size=8), seed=0)
        cls = type(data.task)
        other = cls(cls.Fitted(name="single_label", names=("x", *reversed(data.task.names))))
        turned = data.with_task(other)
        assert turned.task is turned.test.task is other
        assert (turned.train.codes == 2 - data.train.codes).all()
        assert turned.test.sources == data.test.sources
        with pytest.raises(DataError):
            data.with_task(cls(cls.Fitted(name="single_label", names=("x", "y"))))

    def test_another_input_batches_the_same_pixels(self, flowers, configure):
        data = prepare(configure(folder(flowers), size=8), seed=0)
        fitted = data.input.fitted.model_copy(update={"mean": (0.0,) * 3, "std": (1.0,) * 3})
        other = type(data.input)(fitted)
        batch = next(data.with_input(other).train.batches(4))
        np.testing.assert_allclose(batch.inputs["image"], data.train.raw(range(4)) / 255, atol=1e-6)
        small = type(data.input)(fitted.model_copy(update={"size": (4, 8)}))
        with pytest.raises(
            DataError, match=r"takes image input image \[3, 4, 8\], but the data were read as image"
        ):
            data.with_input(small)

    def test_options_of_a_fitted_input_read_other_data_alike(self, flowers, tmp_path, configure):
        data = prepare(configure(folder(flowers), size=[6, 8], fit="pad", channels=1), seed=0)
        grey = pictures.class_folder(tmp_path / "other", {"a": 4, "b": 4})
        other = prepare(configure(folder(grey), **options_of(data.input)), seed=0)
        assert other.input.decoder == data.input.decoder

    def test_a_task_that_the_data_contradict(self, configure):
        regression = TASKS["regression"].Config(name="regression")
        with pytest.raises(ConfigError, match="task: "):
            prepare(configure({"name": "digits", "target": "digit_and_parity"}), task=regression, seed=0)
        single = TASKS["single_label"].Config(name="single_label")
        with pytest.raises(ConfigError, match="task: "):
            prepare(configure({"name": "digits", "target": "ink"}), task=single, seed=0)

    @pytest.mark.parametrize(
        ("target", "task", "outputs"),
        [("digit", "single_label", 10), ("digit_and_parity", "multi_label", 12), ("value", "regression", 1)],
    )
    def test_the_task_follows_from_the_targets(self, configure, target, task, outputs):
        data = prepare(configure({"name": "digits", "target": target}), seed=0)
        assert (data.task.name, data.task.outputs) == (task, outputs)
        assert [len(part) for part in splits(data)] == pytest.approx([1079, 359, 359], abs=2)


class TestArrays:
    def test_classes_that_a_given_split_lacks_are_told(self, tmp_path, caplog):
        images, classes = np.arange(60 * 16, dtype=np.uint16).astype(np.uint8).reshape(60, 4, 4), np.arange(60) % 3
        config = {"dataset": {"name": "npz", "path": str(tmp_path / "a.npz")}, "input": {"name": "image"}}
        for test, told in ((classes[:3], False), (np.zeros(3, dtype=int), True)):
            arrays = {"x_train": images, "y_train": classes, "x_test": images[:3], "y_test": test}
            np.savez(tmp_path / "a.npz", **arrays)
            prepare(DataConfig.model_validate(config), seed=0)
            text = "the test split has no images of the classes '1', '2': its scores say nothing about them"
            assert (text in caplog.text) == told
        assert "validation split has no" not in caplog.text

    @pytest.mark.parametrize("kind", [np.uint8, np.float32])
    def test_classes_as_columns_are_told(self, tmp_path, caplog, kind):
        images, classes = np.arange(40 * 16, dtype=np.uint16).astype(np.uint8).reshape(40, 4, 4), np.arange(40) % 3
        config = {"dataset": {"name": "npz", "path": str(tmp_path / "a.npz")}, "input": {"name": "image"}}
        np.savez(tmp_path / "a.npz", x_train=images, y_train=np.eye(3, dtype=kind)[classes])
        data = prepare(DataConfig.model_validate(config), seed=0)
        assert f"each image has exactly one 1 among its 3 targets ({data.task.names[0]}, ...)" in caplog.text
        caplog.clear()
        prepare(DataConfig.model_validate(config), task=type(data.task).Config(name=data.task.name), seed=0)
        others = np.maximum(np.eye(3, dtype=kind)[classes], (classes == 0).astype(kind)[:, None])
        np.savez(tmp_path / "a.npz", x_train=images, y_train=others)
        prepare(DataConfig.model_validate(config), seed=0)
        assert "exactly one 1" not in caplog.text

    def test_native_size(self, configure):
        data = prepare(configure("digits"), seed=0)
        assert data.input.shape == (1, 8, 8)
        assert (len(data.train), len(data.validation), len(data.test)) == (1079, 359, 359)
        assert data.train.sources is None

    def test_other_size_and_channels(self, configure):
        small = prepare(configure("digits"), seed=0)
        data = prepare(configure("digits", size=16, channels=3), seed=0)
        assert data.input.shape == (3, 16, 16)
        image = data.train.raw([0])[0]
        assert (image[0] == image[1]).all()
        expected = Image.fromarray(small.train.raw([0])[0, 0]).resize((16, 16), Image.Resampling.BILINEAR)
        assert (image[0] == np.asarray(expected)).all()

    def test_order_does_not_depend_on_the_process(self, configure):
        first, second = (prepare(configure("digits"), seed=5) for _ in range(2))
        assert (first.train.indices == second.train.indices).all()
        assert first.input.fitted == second.input.fitted
        assert (prepare(configure("digits"), seed=6).train.indices != first.train.indices).any()

    def test_empty_set(self, tmp_path, configure):
        np.savez(tmp_path / "a.npz", x_train=np.zeros((0, 4, 4), np.uint8), y_train=np.zeros(0, int))
        with pytest.raises(DataError, match="holds no images"):
            prepare(configure({"name": "npz", "path": str(tmp_path / "a.npz")}), seed=0)

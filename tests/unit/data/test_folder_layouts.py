"""Folders that hold splits, by any name and in any order, and folders that could be both."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from paddle_automl.core.errors import DataError
from paddle_automl.data.datasets._layout import split_of
from tests.unit.data.loading import load, sizes
from tests.unit.data.pictures import RED, class_folder, plain, save


@dataclass(frozen=True)
class Kind:
    """A data set that is a folder of files, and how its files are made."""

    name: str
    word: str

    def item(self, stem):
        """Make one file; `stem` lacks the suffix."""
        if self.name == "image_folder":
            return save(plain(RED), stem.with_suffix(".png"))
        stem.parent.mkdir(parents=True, exist_ok=True)
        stem.with_suffix(".txt").write_text(f"text {stem}", "utf-8")
        return stem.with_suffix(".txt")

    def folder(self, root, classes):
        """Make so many files in a folder per class."""
        for name, count in classes.items():
            for number in range(count):
                self.item(root / name / f"{number:02d}")
        return root

    def load(self, root, **options):
        """Return the samples."""
        return load(self.name, root=str(root), **options)

    def files(self, samples):
        """Return the file of each item."""
        return [Path(name) for name in samples.sources or samples.origins]


@pytest.fixture(
    params=[Kind("image_folder", "images"), Kind("text_folder", ".txt files")], ids=lambda kind: kind.name
)
def data(request):
    return request.param


class TestSplitsByOtherNames:
    @pytest.mark.parametrize(
        ("train", "other", "split"),
        [
            ("Training", "Testing", "test"),
            ("training_set", "test_set", "test"),
            ("train", "dev", "validation"),
            ("flowers_train", "flowers_valid", "validation"),
            ("TRAIN", "Holdout", "test"),
            ("train2017", "val2017", "validation"),
            ("训练集", "测试集", "test"),
            ("训练", "验证", "validation"),
        ],
    )
    def test_they_are_taken_as_splits(self, data, tmp_path, train, other, split):
        data.folder(tmp_path / train, {"a": 3, "b": 4})
        data.folder(tmp_path / other, {"a": 1, "b": 2})
        samples = data.load(tmp_path)
        assert samples.targets.names == ("a", "b")
        assert sizes(samples) == {"train": 7, split: 3}

    def test_a_few_images_beside_the_class_folders_of_a_split(self, data, tmp_path, caplog):
        for name, count in (("train", 5), ("val", 3)):
            data.folder(tmp_path / name, {"a": count, "b": count})
            data.item(tmp_path / name / "overview")
        assert sizes(data.load(tmp_path)) == {"train": 10, "validation": 6}
        assert f"train': 1 {data.word} that are in no class folder are left out" in caplog.text

    def test_names_of_splits(self):
        assert split_of("seg_train") == "train"
        assert split_of("Validation Set") == "validation"
        assert split_of("test-images") == "test"
        assert split_of("evaluation") == "validation"
        assert {split_of(name) for name in ("cat", "trainer", "contest", "valley", "tester", "strain", "")} == {
            None
        }

    def test_folders_in_folders(self, data, tmp_path):
        """As archives have them: seg_train/seg_train/CLASS."""
        data.folder(tmp_path / "seg_train" / "seg_train", {"a": 3, "b": 4})
        data.folder(tmp_path / "seg_test" / "seg_test", {"a": 1, "b": 2})
        samples = data.load(tmp_path)
        assert sizes(samples) == {"train": 7, "test": 3}
        assert samples.targets.names == ("a", "b")

    def test_splits_inside_each_class(self, data, tmp_path):
        for name in ("cat", "dog"):
            data.folder(tmp_path / name, {"train": 4, "val": 2})
        samples = data.load(tmp_path)
        assert samples.targets.names == ("cat", "dog")
        assert sizes(samples) == {"train": 8, "validation": 4}
        rows = samples.splits["validation"]
        assert {data.files(samples)[row].parent.name for row in rows} == {"val"}
        assert samples.targets.values[rows].tolist() == [0, 0, 1, 1]

    def test_a_class_without_the_splits_of_the_others(self, tmp_path):
        for name in ("cat", "dog"):
            class_folder(tmp_path / name, {"train": 4, "val": 2})
        class_folder(tmp_path, {"bird": 3})
        with pytest.raises(DataError, match=r"hold a folder per split \(train, val, test\), but 'bird' does not"):
            load("image_folder", root=str(tmp_path))


class TestSplitsThatAreIncomplete:
    def test_no_folder_for_training(self, data, tmp_path):
        for name in ("val", "test"):
            data.folder(tmp_path / name, {"a": 1, "b": 2})
        with pytest.raises(DataError, match=r"'test' and 'val' look like a split .* no folder 'train' for"):
            data.load(tmp_path)

    def test_a_stranger_beside_them_is_named(self, data, tmp_path):
        for name in ("train", "val"):
            data.folder(tmp_path / name, {"a": 1, "b": 2})
        data.folder(tmp_path, {"raw pictures": 5})
        with pytest.raises(
            DataError, match=r"'train' and 'val' look like a split .*, but not 'raw pictures'; move that"
        ):
            data.load(tmp_path)

    def test_a_test_folder_without_classes_is_named(self, tmp_path):
        class_folder(tmp_path / "train", {"a": 2, "b": 2})
        class_folder(tmp_path, {"test": 5})
        with pytest.raises(DataError, match="but not 'test', which holds 5 images in no class folder"):
            load("image_folder", root=str(tmp_path))

    def test_a_stranger_without_images_is_said_and_left_out(self, data, tmp_path, caplog):
        for name in ("train", "val"):
            data.folder(tmp_path / name, {"a": 1, "b": 2})
        (tmp_path / "docs").mkdir()
        (tmp_path / "docs" / "README.md").write_text("x")
        assert sizes(data.load(tmp_path)) == {"train": 3, "validation": 3}
        assert f"'docs' is left out: it holds no {data.word}" in caplog.text

    def test_an_empty_class_folder_of_a_split_is_named(self, tmp_path):
        class_folder(tmp_path / "train", {"a": 2, "b": 2})
        (tmp_path / "train" / "c").mkdir()
        class_folder(tmp_path / "val", {"a": 2, "b": 2})
        with pytest.raises(DataError, match=r"class folder '.*train/c' holds no images"):
            load("image_folder", root=str(tmp_path))


class TestFoldersThatCouldBeBoth:
    def test_the_same_folders_in_each_stop(self, tmp_path):
        for name in ("camera 1", "camera 2"):
            class_folder(tmp_path / name, {"a": 2, "b": 3})
        with pytest.raises(
            DataError, match=r"'camera 1' and 'camera 2' look like splits .* the same folders \(a, b\)"
        ):
            load("image_folder", root=str(tmp_path))

    def test_layout_decides(self, tmp_path):
        for name in ("cat", "dog"):
            class_folder(tmp_path / name, {"2023": 2, "2024": 3})
        with pytest.raises(DataError, match=r"set data\.dataset\.layout: classes"):
            load("image_folder", root=str(tmp_path))
        samples = load("image_folder", root=str(tmp_path), layout="classes")
        assert np.bincount(samples.targets.values).tolist() == [5, 5]
        with pytest.raises(DataError, match="no folder looks like a split, but not 'cat'; 'dog'"):
            load("image_folder", root=str(tmp_path), layout="splits")

    def test_a_class_called_train_with_folders_inside(self, data, tmp_path):
        data.folder(tmp_path / "train", {"steam": 2, "electric": 2})
        data.folder(tmp_path, {"bus": 3})
        with pytest.raises(DataError, match="but not 'bus'"):
            data.load(tmp_path)
        samples = data.load(tmp_path, layout="classes")
        assert samples.targets.names == ("bus", "train")

    def test_one_folder_of_the_same_name_in_each_class_is_nothing(self, data, tmp_path):
        for name in ("cat", "dog"):
            data.folder(tmp_path / name, {"raw": 3})
        assert data.load(tmp_path).targets.names == ("cat", "dog")


class TestOneFolder:
    def test_an_unpacked_archive(self, data, tmp_path, caplog):
        data.folder(tmp_path / "flower_photos", {"rose": 2, "lily": 3})
        (tmp_path / "LICENSE.txt").write_text("x")
        samples = data.load(tmp_path)
        assert samples.targets.names == ("lily", "rose")
        assert "holds one folder; the folders in" in caplog.text
        assert "flower_photos" in caplog.text

    def test_splits_inside_an_archive(self, data, tmp_path):
        for name, count in (("train", 3), ("test", 1)):
            data.folder(tmp_path / "data" / "flowers" / name, {"rose": count, "lily": count})
        assert sizes(data.load(tmp_path)) == {"train": 6, "test": 2}

    def test_one_class_folder_stays_one_class(self, data, tmp_path):
        data.folder(tmp_path, {"only": 3})
        assert data.load(tmp_path).targets.names == ("only",)


class TestOfBoth:
    def test_two_folders_of_one_split_stop(self, data, tmp_path):
        for name in ("training set", "dev", "val"):
            data.folder(tmp_path / name, {"a": 2, "b": 2})
        with pytest.raises(DataError, match="holds both 'dev' and 'val'; keep one folder for the validation split"):
            data.load(tmp_path)

    def test_an_output_is_never_a_class(self, data, tmp_path, caplog):
        data.folder(tmp_path, {"a": 2, "b": 2})
        data.item(tmp_path / "output" / "run" / "model" / "tokens")
        (tmp_path / "output" / "run" / "study.db").write_text("x")
        samples = data.load(tmp_path)
        assert samples.targets.names == ("a", "b")
        assert len(samples) == 4
        assert "output/run' is left out: it is an output of this program" in caplog.text
        data.item(tmp_path / "model" / "sample")
        (tmp_path / "model" / "bundle.yaml").write_text("x")
        caplog.clear()
        assert data.load(tmp_path).targets.names == ("a", "b")
        assert f"'{tmp_path / 'model'}' is left out: it is an output of this program (it holds 'bundle.yaml')" in (
            caplog.text
        )
        (tmp_path / "best.pdparams").write_text("x")
        with pytest.raises(DataError, match="itself holds results of this program among the data"):
            data.load(tmp_path)

    def test_a_class_folder_with_a_stray_configuration_is_a_class(self, data, tmp_path, caplog):
        data.folder(tmp_path, {"a": 2, "b": 2, "c/2023": 2, "d": 2})
        for name in ("b", "c"):
            (tmp_path / name / "config.yaml").write_text("x: 1")
        (tmp_path / "d" / "metrics.jsonl").write_text("{}")
        assert data.load(tmp_path).targets.names == ("a", "b")
        assert "1 .yaml" in caplog.text
        assert f"'{tmp_path / 'c'}' is left out: it is an output of this program (it holds 'config.yaml')" in (
            caplog.text
        )
        assert f"'{tmp_path / 'd'}' is left out: it is an output of this program (it holds 'metrics.jsonl')" in (
            caplog.text
        )

    def test_names_of_two_unicode_forms_stop(self, data, tmp_path):
        data.folder(tmp_path, {"caf\u00e9": 2, "cafe\u0301": 2, "b": 2})
        with pytest.raises(DataError, match=r"two classes look the same, 'caf.*': 'cafe\\u0301' and 'caf\\xe9'"):
            data.load(tmp_path)


class TestTextsThatWereReadBefore:
    """A folder of texts is read as it always was where that is no clear mistake, with a warning."""

    data = Kind("text_folder", ".txt files")

    def test_a_test_folder_without_classes_gives_no_test(self, tmp_path, caplog):
        self.data.folder(tmp_path / "train", {"a": 3, "b": 3})
        self.data.folder(tmp_path, {"test": 5})
        assert sizes(self.data.load(tmp_path)) == {"train": 6, "test": 0}
        assert "test': 5 .txt files that are in no class folder are left out" in caplog.text

    def test_many_texts_beside_the_class_folders_of_all_splits(self, tmp_path):
        for name in ("train", "test"):
            self.data.folder(tmp_path / name, {"a": 2, "b": 2, ".": 3})
        assert sizes(self.data.load(tmp_path)) == {"train": 4, "test": 4}

    def test_a_folder_without_texts_is_left_out(self, tmp_path, caplog):
        self.data.folder(tmp_path / "train", {"a": 2, "b": 2})
        (tmp_path / "train" / "c").mkdir()
        (tmp_path / "train" / "c" / "x.md").write_text("x")
        self.data.folder(tmp_path / "val", {"a": 2, "b": 2})
        assert self.data.load(tmp_path).targets.names == ("a", "b")
        assert "train/c' holds no .txt files, but other files (1 .md); it is left out" in caplog.text

    def test_classes_with_the_same_folders_stay_classes(self, tmp_path, caplog):
        for name in ("cat", "dog"):
            self.data.folder(tmp_path / name, {"2023": 2, "2024": 3})
        samples = self.data.load(tmp_path)
        assert samples.targets.names == ("cat", "dog")
        assert samples.splits == {}
        assert "layout: classes; here they are taken as classes" in caplog.text
        caplog.clear()
        self.data.load(tmp_path, layout="classes")
        assert not caplog.records

    def test_texts_are_in_the_order_of_their_paths(self, tmp_path):
        self.data.folder(tmp_path, {"a/x": 1, "a/x-y": 1, "a/x.z": 1, "b": 1, "__old": 1})
        samples = self.data.load(tmp_path)
        assert [Path(name).parent.name for name in samples.origins] == ["x", "x-y", "x.z", "b"]

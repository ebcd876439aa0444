"""Folders of images that hold splits, by any name and in any order, and folders that could be both."""

import numpy as np
import pytest

from paddle_automl.core.errors import DataError
from paddle_automl.data.datasets._layout import split_of
from tests.unit.data.loading import load, sizes
from tests.unit.data.pictures import RED, class_folder, plain, save


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
    def test_they_are_taken_as_splits(self, tmp_path, train, other, split):
        class_folder(tmp_path / train, {"a": 3, "b": 4})
        class_folder(tmp_path / other, {"a": 1, "b": 2})
        samples = load("image_folder", root=str(tmp_path))
        assert samples.targets.names == ("a", "b")
        assert sizes(samples) == {"train": 7, split: 3}

    def test_a_few_images_beside_the_class_folders_of_a_split(self, tmp_path, caplog):
        for name, count in (("train", 5), ("val", 3)):
            class_folder(tmp_path / name, {"a": count, "b": count})
            save(plain(RED), tmp_path / name / "overview.png")
        assert sizes(load("image_folder", root=str(tmp_path))) == {"train": 10, "validation": 6}
        assert "train': 1 images that are in no class folder are left out" in caplog.text

    def test_names_of_splits(self):
        assert split_of("seg_train") == "train"
        assert split_of("Validation Set") == "validation"
        assert split_of("test-images") == "test"
        assert split_of("evaluation") == "validation"
        assert {split_of(name) for name in ("cat", "trainer", "contest", "valley", "tester", "strain", "")} == {
            None
        }

    def test_folders_in_folders(self, tmp_path):
        """As archives have them: seg_train/seg_train/CLASS."""
        class_folder(tmp_path / "seg_train" / "seg_train", {"a": 3, "b": 4})
        class_folder(tmp_path / "seg_test" / "seg_test", {"a": 1, "b": 2})
        samples = load("image_folder", root=str(tmp_path))
        assert sizes(samples) == {"train": 7, "test": 3}
        assert samples.targets.names == ("a", "b")

    def test_splits_inside_each_class(self, tmp_path):
        for name in ("cat", "dog"):
            class_folder(tmp_path / name, {"train": 4, "val": 2})
        samples = load("image_folder", root=str(tmp_path))
        assert samples.targets.names == ("cat", "dog")
        assert sizes(samples) == {"train": 8, "validation": 4}
        rows = samples.splits["validation"]
        assert {samples.sources[row].parent.name for row in rows} == {"val"}
        assert samples.targets.values[rows].tolist() == [0, 0, 1, 1]

    def test_a_class_without_the_splits_of_the_others(self, tmp_path):
        for name in ("cat", "dog"):
            class_folder(tmp_path / name, {"train": 4, "val": 2})
        class_folder(tmp_path, {"bird": 3})
        with pytest.raises(DataError, match=r"hold a folder per split \(train, val, test\), but 'bird' does not"):
            load("image_folder", root=str(tmp_path))


class TestSplitsThatAreIncomplete:
    def test_no_folder_for_training(self, tmp_path):
        for name in ("val", "test"):
            class_folder(tmp_path / name, {"a": 1, "b": 2})
        with pytest.raises(DataError, match=r"'test' and 'val' look like a split .* no folder 'train' for"):
            load("image_folder", root=str(tmp_path))

    def test_a_stranger_beside_them_is_named(self, tmp_path):
        for name in ("train", "val"):
            class_folder(tmp_path / name, {"a": 1, "b": 2})
        class_folder(tmp_path, {"raw pictures": 5})
        with pytest.raises(
            DataError, match=r"'train' and 'val' look like a split .*, but not 'raw pictures'; move that"
        ):
            load("image_folder", root=str(tmp_path))

    def test_a_test_folder_without_classes_is_named(self, tmp_path):
        class_folder(tmp_path / "train", {"a": 2, "b": 2})
        class_folder(tmp_path, {"test": 5})
        with pytest.raises(DataError, match="but not 'test', which holds 5 images in no class folder"):
            load("image_folder", root=str(tmp_path))

    def test_a_stranger_without_images_is_said_and_left_out(self, tmp_path, caplog):
        for name in ("train", "val"):
            class_folder(tmp_path / name, {"a": 1, "b": 2})
        (tmp_path / "docs").mkdir()
        (tmp_path / "docs" / "README.md").write_text("x")
        assert sizes(load("image_folder", root=str(tmp_path))) == {"train": 3, "validation": 3}
        assert "'docs' is left out: it holds no images" in caplog.text

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

    def test_a_class_called_train_with_folders_inside(self, tmp_path):
        class_folder(tmp_path / "train", {"steam": 2, "electric": 2})
        class_folder(tmp_path, {"bus": 3})
        with pytest.raises(DataError, match="but not 'bus'"):
            load("image_folder", root=str(tmp_path))
        samples = load("image_folder", root=str(tmp_path), layout="classes")
        assert samples.targets.names == ("bus", "train")

    def test_one_folder_of_the_same_name_in_each_class_is_nothing(self, tmp_path):
        for name in ("cat", "dog"):
            class_folder(tmp_path / name, {"raw": 3})
        assert load("image_folder", root=str(tmp_path)).targets.names == ("cat", "dog")


class TestOneFolder:
    def test_an_unpacked_archive(self, tmp_path, caplog):
        class_folder(tmp_path / "flower_photos", {"rose": 2, "lily": 3})
        (tmp_path / "LICENSE.txt").write_text("x")
        samples = load("image_folder", root=str(tmp_path))
        assert samples.targets.names == ("lily", "rose")
        assert "holds one folder; the folders in" in caplog.text
        assert "flower_photos" in caplog.text

    def test_splits_inside_an_archive(self, tmp_path):
        for name, count in (("train", 3), ("test", 1)):
            class_folder(tmp_path / "data" / "flowers" / name, {"rose": count, "lily": count})
        assert sizes(load("image_folder", root=str(tmp_path))) == {"train": 6, "test": 2}

    def test_one_class_folder_stays_one_class(self, tmp_path):
        class_folder(tmp_path, {"only": 3})
        assert load("image_folder", root=str(tmp_path)).targets.names == ("only",)

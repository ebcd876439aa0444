"""Folders of images: classes, names, what is left out, and further folders."""

import logging
import os

import numpy as np
import pytest

from paddle_automl.core.errors import DataError
from tests.unit.data.loading import load, sizes
from tests.unit.data.pictures import RED, class_folder, plain, save


class TestClasses:
    def test_classes_are_sorted_names_and_files_are_sorted(self, flowers):
        samples = load("image_folder", root=str(flowers))
        assert samples.targets.names == ("sun flower", "郁金香")
        assert samples.targets.values.tolist() == [0] * 10 + [1] * 10
        assert list(samples.sources) == sorted(samples.sources)
        assert samples.sources[0] == flowers / "sun flower" / "图 00.png"
        assert samples.splits == {}

    def test_what_is_no_image_is_ignored(self, flowers):
        for name in (".DS_Store", "Thumbs.db", "._图 00.png", "notes.txt", ".hidden.png"):
            (flowers / "郁金香" / name).write_bytes(b"x")
        save(plain(RED), flowers / ".git" / "a.png")
        save(plain(RED), flowers / "__MACOSX" / "a.png")
        save(plain(RED), flowers / "loose.png")
        assert len(load("image_folder", root=str(flowers))) == 20

    def test_inner_folders_links_and_upper_case(self, flowers, tmp_path):
        save(plain(RED), flowers / "郁金香" / "2024" / "A.JPG")
        elsewhere = class_folder(tmp_path / "elsewhere", {"rose": 3})
        os.symlink(elsewhere / "rose", flowers / "rose")
        os.symlink(flowers / "郁金香", flowers / "郁金香" / "loop")
        samples = load("image_folder", root=str(flowers))
        assert samples.targets.names == ("rose", "sun flower", "郁金香")
        assert np.bincount(samples.targets.values).tolist() == [3, 10, 11]

    def test_split_folders(self, tmp_path):
        class_folder(tmp_path / "train", {"a": 3, "b": 4})
        class_folder(tmp_path / "val", {"b": 2})
        class_folder(tmp_path / "test", {"a": 1, "b": 1})
        samples = load("image_folder", root=str(tmp_path))
        assert samples.targets.names == ("a", "b")
        assert {part: len(rows) for part, rows in samples.splits.items()} == {
            "train": 7,
            "validation": 2,
            "test": 2,
        }
        assert samples.targets.values[samples.splits["validation"]].tolist() == [1, 1]
        assert all("val" in str(samples.sources[row]) for row in samples.splits["validation"])

    def test_a_class_may_be_called_train(self, tmp_path):
        samples = load("image_folder", root=str(class_folder(tmp_path, {"train": 2, "bus": 2})))
        assert samples.targets.names == ("bus", "train")
        samples = load("image_folder", root=str(class_folder(tmp_path / "x", {"train": 2, "test": 2})))
        assert samples.targets.names == ("test", "train")

    def test_mistakes(self, tmp_path):
        with pytest.raises(DataError, match=r"data\.dataset\.root: the folder '.*nothing' does not exist"):
            load("image_folder", root=str(tmp_path / "nothing"))
        (tmp_path / "file").write_text("x")
        with pytest.raises(DataError, match="is a file, not a folder"):
            load("image_folder", root=str(tmp_path / "file"))
        empty = tmp_path / "空"
        empty.mkdir()
        with pytest.raises(DataError, match=r"'.*空' holds no folders with images"):
            load("image_folder", root=str(empty))
        save(plain(RED), empty / "a.png")
        with pytest.raises(DataError, match=r"1 images but no folders; make one folder of images per class"):
            load("image_folder", root=str(empty))
        (empty / "cats").mkdir()
        with pytest.raises(DataError, match=r"class folder '.*cats' holds no images \(.*\.jpg"):
            load("image_folder", root=str(empty))

    def test_mistakes_of_splits(self, tmp_path):
        class_folder(tmp_path / "train", {"a": 1, "b": 1})
        class_folder(tmp_path / "val", {"a": 1, "猫": 1})
        with pytest.raises(
            DataError, match=r"the classes 猫 of the validation split in '.*' have no folder in the training"
        ):
            load("image_folder", root=str(tmp_path))
        class_folder(tmp_path / "validation", {"a": 1})
        with pytest.raises(DataError, match="holds both 'val' and 'validation'"):
            load("image_folder", root=str(tmp_path))


class TestResultsAmongTheImages:
    @pytest.mark.parametrize(
        "files",
        [["study.db", "plots/history.png"], ["model/bundle.yaml", "model/samples/0.png"], ["stages/check.json"]],
    )
    def test_an_output_is_never_a_class(self, flowers, caplog, files):
        for name in files:
            path = flowers / "output" / "run" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith(".png"):
                save(plain(RED), path)
            else:
                path.write_text("x")
        samples = load("image_folder", root=str(flowers))
        assert samples.targets.names == ("sun flower", "郁金香")
        assert len(samples) == 20
        assert "is left out: it is an output of this program" in caplog.text
        assert str(flowers / "output" / "run") in caplog.text

    def test_an_output_inside_a_class_folder(self, flowers, caplog):
        save(plain(RED), flowers / "郁金香" / "try" / "model" / "samples" / "0.png")
        (flowers / "郁金香" / "try" / "model" / "bundle.yaml").write_text("x")
        (flowers / "郁金香" / "try" / "metrics.jsonl").write_text("{}")
        assert len(load("image_folder", root=str(flowers))) == 20
        assert "郁金香/try' is left out" in caplog.text

    def test_results_in_the_folder_itself_stop(self, flowers):
        (flowers / "config.yaml").write_text("x")
        assert len(load("image_folder", root=str(flowers))) == 20
        (flowers / "best.pdparams").write_bytes(b"x")
        with pytest.raises(DataError, match=r"'.*照片' itself holds results of this program among the data"):
            load("image_folder", root=str(flowers))

    def test_a_training_that_has_just_begun(self, flowers):
        (flowers / "out").mkdir()
        (flowers / "out" / "config.yaml").write_text("x")
        (flowers / "output" / "run").mkdir(parents=True)
        assert load("image_folder", root=str(flowers)).targets.names == ("sun flower", "郁金香")

    def test_pictures_of_theatre_stages_are_pictures(self, flowers):
        class_folder(flowers / "theatre", {"stages": 3})
        assert "theatre" in load("image_folder", root=str(flowers)).targets.names


class TestFilesLeftOut:
    def test_other_formats_of_pillow_are_read(self, tmp_path):
        image = plain(RED)
        names = ["a.jp2", "b.tga", "c.qoi", "d.pcx", "e.PNG", "f.jfif", "g.j2k", "h.sgi", "i.ico", "j.dib"]
        from PIL import features

        if features.check("avif"):
            names.append("k.avif")
        for name in names:
            form = {"tga": "TGA", "qoi": "QOI", "pcx": "PCX"}.get(name[2:])
            save(image, tmp_path / "x" / name, format=form)
            save(image, tmp_path / "y" / name, format=form)
        samples = load("image_folder", root=str(tmp_path))
        assert len(samples) == 2 * len(names)

    def test_what_is_no_image_by_its_name_is_counted(self, flowers, caplog):
        for number in range(3):
            (flowers / "郁金香" / f"{number}.heic").write_bytes(b"x")
        (flowers / "sun flower" / "notes.txt").write_text("x")
        (flowers / "sun flower" / "Thumbs.db").write_text("x")
        assert len(load("image_folder", root=str(flowers))) == 20
        assert "files whose names are not those of images are left out: 3 .heic, 1 .txt" in caplog.text

    def test_images_beside_the_class_folders_are_counted(self, flowers, caplog):
        save(plain(RED), flowers / "loose.png")
        assert len(load("image_folder", root=str(flowers))) == 20
        assert "1 images that are in no class folder are left out" in caplog.text

    def test_a_class_of_other_files_alone_says_which(self, flowers):
        (flowers / "rose").mkdir()
        (flowers / "rose" / "a.heic").write_bytes(b"x")
        with pytest.raises(
            DataError, match=r"class folder '.*rose' holds no images .* but other files \(1 \.heic\)"
        ):
            load("image_folder", root=str(flowers))

    def test_a_clean_folder_says_nothing(self, flowers, caplog):
        with caplog.at_level(logging.WARNING):
            load("image_folder", root=str(flowers))
        assert not caplog.records


class TestNames:
    def test_numbers_are_in_the_order_of_numbers(self, tmp_path):
        class_folder(tmp_path, {str(number): 1 for number in range(12)})
        samples = load("image_folder", root=str(tmp_path))
        assert samples.targets.names == tuple(str(number) for number in range(12))
        assert samples.sources[10].parent.name == "10"

    def test_numbers_with_zeros_and_names_among_numbers(self, tmp_path):
        class_folder(tmp_path / "x", {"002": 1, "10": 1, "1": 1})
        assert load("image_folder", root=str(tmp_path / "x")).targets.names == ("1", "002", "10")
        class_folder(tmp_path / "y", {"2": 1, "10": 1, "b": 1})
        assert load("image_folder", root=str(tmp_path / "y")).targets.names == ("10", "2", "b")

    def test_names_of_two_unicode_forms_stop(self, tmp_path):
        class_folder(tmp_path, {"caf\u00e9": 2, "cafe\u0301": 2, "b": 2})
        with pytest.raises(DataError, match=r"two classes look the same, 'caf.*': 'cafe\\u0301' and 'caf\\xe9'"):
            load("image_folder", root=str(tmp_path))

    def test_names_in_a_split_match_in_any_unicode_form(self, tmp_path):
        class_folder(tmp_path / "train", {"\uac00": 2, "b": 2})
        class_folder(tmp_path / "val", {"\u1100\u1161": 1, "b": 1})
        samples = load("image_folder", root=str(tmp_path))
        assert samples.targets.names == ("b", "\uac00")
        assert sizes(samples) == {"train": 4, "validation": 2}

    def test_names_that_differ_in_capitals_are_said(self, tmp_path, caplog):
        class_folder(tmp_path, {"Cat": 2, "dog": 2})
        if not (tmp_path / "CAT").exists():
            class_folder(tmp_path, {"cat": 2})
            assert load("image_folder", root=str(tmp_path)).targets.names == ("Cat", "cat", "dog")
            assert "the classes 'Cat' and 'cat' differ only in capital letters" in caplog.text


class TestAdded:
    def test_images_and_classes_of_further_folders_join(self, flowers, tmp_path):
        more = class_folder(tmp_path / "more", {"郁金香": 2, "aster": 3})
        samples = load("image_folder", root=str(flowers), added=[str(more)])
        assert samples.targets.names == ("aster", "sun flower", "郁金香")
        assert np.bincount(samples.targets.values).tolist() == [3, 10, 12]
        assert samples.sources[:20] == load("image_folder", root=str(flowers)).sources
        assert samples.splits == {}

    def test_where_one_defines_splits_the_others_are_for_training(self, flowers, tmp_path):
        class_folder(tmp_path / "more" / "train", {"aster": 3, "郁金香": 1})
        class_folder(tmp_path / "more" / "test", {"郁金香": 2})
        samples = load("image_folder", root=str(flowers), added=[str(tmp_path / "more")])
        assert sizes(samples) == {"train": 24, "test": 2}
        assert samples.splits["train"].tolist() == list(range(24))

    def test_a_folder_that_is_missing_is_named(self, flowers, tmp_path):
        with pytest.raises(DataError, match=r"data\.dataset\.added: the folder '.*gone' does not exist"):
            load("image_folder", root=str(flowers), added=[str(tmp_path / "gone")])
        (tmp_path / "empty").mkdir()
        with pytest.raises(DataError, match=r"data\.dataset\.added: '.*empty' holds no folders with images"):
            load("image_folder", root=str(flowers), added=[str(tmp_path / "empty")])

    def test_classes_that_differ_in_capital_letters_are_told(self, flowers, tmp_path, caplog):
        more = class_folder(tmp_path / "more", {"Sun flower": 2})
        with caplog.at_level(logging.WARNING, logger="paddle_automl"):
            load("image_folder", root=str(flowers), added=[str(more)])
        assert "differ only in capital letters" in caplog.text

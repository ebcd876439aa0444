"""Data that have grown: old items keep their split, new ones are split, and classes keep their numbers."""

import logging
import shutil

import numpy as np
import pytest
from PIL import Image

from paddle_automl.core.errors import ConfigError, DataError
from paddle_automl.core.loading import validate
from paddle_automl.data.config import DataConfig
from paddle_automl.data.growing import without_folds
from paddle_automl.data.items import NOWHERE
from paddle_automl.data.prepare import prepare
from paddle_automl.data.remembering import Remembered
from tests.unit.data.pictures import class_folder, noise, save


@pytest.fixture
def old(tmp_path):
    return class_folder(tmp_path / "old", {"cat": 10, "dog": 10}, seed=1)


@pytest.fixture
def new(tmp_path):
    """New images of a known class, and of one whose name comes first."""
    return class_folder(tmp_path / "new", {"dog": 5, "ant": 5}, seed=2)


def config_of(root, *added, **options):
    dataset = {"name": "image_folder", "root": str(root), "added": [str(path) for path in added]}
    return validate(DataConfig, {"dataset": dataset, "input": {"size": 8}, **options})


def grown(old, *added, fold=None, seed=0, changed=None, **options):
    """Return the data before and after; `changed` are options of the second alone."""
    before = prepare(config_of(old, **options), seed=0)
    items = without_folds(before.items, fold)
    config = config_of(old, *added, **{**options, **(changed or {})})
    return before, prepare(config, seed=seed, remembered=Remembered(items, "grown"))


def files(split):
    return {path.relative_to(path.parents[2]).as_posix() for path in split.sources}


def counts(split):
    return np.bincount(split.codes, minlength=3).tolist()


def test_old_splits_stay_and_new_items_are_split(old, new):
    before, after = grown(old, new)
    for name in ("train", "validation", "test"):
        known = files(getattr(before, name))
        assert {file for file in files(getattr(after, name)) if file.startswith("old/")} == known
    assert after.task.names == ("cat", "dog", "ant")
    assert [counts(split) for split in (after.train, after.validation, after.test)] == [
        [6, 9, 3],
        [2, 3, 1],
        [2, 3, 1],
    ]


def test_it_is_remembered_as_any_data(old, new):
    _, after = grown(old, new)
    again = prepare(config_of(old, new), seed=0, remembered=Remembered(after.items))
    assert again.task.names == after.task.names
    for name in ("train", "validation", "test"):
        assert np.array_equal(getattr(again, name).indices, getattr(after, name).indices)
        assert np.array_equal(getattr(again, name).codes, getattr(after, name).codes)


def test_images_that_are_in_the_old_data_are_told_and_counted_once(old, new, caplog):
    shutil.copy(old / "cat" / "图 00.png", new / "dog" / "copy.png")
    shutil.copy(old / "dog" / "图 01.png", new / "dog" / "again.png")
    with caplog.at_level(logging.WARNING, logger="paddle_automl"):
        before, after = grown(old, new)
    sizes = [sum(len(getattr(data, name)) for name in ("train", "validation", "test")) for data in (before, after)]
    assert sizes == [20, 30]
    assert not any("copy" in file or "again" in file for file in files(after.train) | files(after.test))
    assert after.items.splits.tolist().count(NOWHERE) == 2
    assert "10 new images: 6 for training, 2 for validation, 2 for test" in caplog.text
    assert "2 images are in the old data already" in caplog.text
    assert "1 of them in another class, which stays" in caplog.text


def test_images_that_were_saved_again_are_counted_once(old, new, tmp_path, caplog):
    """Other bytes, but the pixels of an old image: in no split, or a network is trained on what it is tested on."""
    before = prepare(config_of(old), seed=0)
    tested = before.test.sources
    for number, source in enumerate(tested):
        with Image.open(source) as image:
            save(
                image,
                (new / source.parent.name if number else new / "ant") / f"again {number}.png",
                compress_level=0,
            )
    with caplog.at_level(logging.WARNING, logger="paddle_automl"):
        _, after = grown(old, new)
    assert len(tested) == 4
    assert not any(
        "again" in file for split in (after.train, after.validation, after.test) for file in files(split)
    )
    assert "10 new images: 6 for training, 2 for validation, 2 for test" in caplog.text
    assert "4 images are in the old data already" in caplog.text
    assert "1 of them in another class, which stays" in caplog.text
    assert "scores will be too good" not in caplog.text


def test_few_new_images_of_an_old_class_are_for_training(old, tmp_path):
    new = class_folder(tmp_path / "new", {"dog": 2}, seed=2)
    before, after = grown(old, new)
    assert files(after.test) == files(before.test)
    assert len(after.train) == len(before.train) + 2


def test_new_images_among_the_old_ones(old, tmp_path):
    before = prepare(config_of(old), seed=0)
    class_folder(old, {"eel": 4}, seed=3)
    after = prepare(config_of(old), seed=0, remembered=Remembered(before.items, "grown"))
    assert after.task.names == ("cat", "dog", "eel")
    assert counts(after.test) == [2, 2, 1]


def test_splits_of_the_new_folder_are_kept(old, tmp_path):
    new = tmp_path / "new"
    class_folder(new / "train", {"ant": 4}, seed=4)
    class_folder(new / "test", {"ant": 3}, seed=5)
    _, after = grown(old, new)
    found = {file for file in files(after.test) if not file.startswith("old/")}
    assert found == {f"test/ant/图 0{number}.png" for number in range(3)}


def test_the_fold_of_the_network_is_its_validation_split(old, new):
    before = prepare(config_of(old, folds=4), seed=0)
    after = prepare(config_of(old, new), seed=0, remembered=Remembered(without_folds(before.items, 2), "grown"))
    fold = prepare(config_of(old, folds=4, fold=2), seed=0)
    assert {file for file in files(after.validation) if file.startswith("old/")} == files(fold.validation)


def test_items_of_a_known_group_go_to_its_split(tmp_path):
    rng = np.random.default_rng(6)
    old, new = tmp_path / "old", tmp_path / "new"
    for number in range(24):
        save(noise(rng), old / "ab"[number % 2] / f"p{number // 2}_{number}.png")
    for number in range(12):
        save(noise(rng), new / "a" / f"p{number}_new.png")
    before, after = grown(old, new, group="^(p[0-9]+)_")
    for name in ("train", "validation", "test"):
        patients = {file.rpartition("/")[2].partition("_")[0] for file in files(getattr(before, name))}
        added = {file for file in files(getattr(after, name)) if file.startswith("new/")}
        assert {file.rpartition("/")[2].partition("_")[0] for file in added} == patients


def test_mistakes_are_named(old, new, tmp_path):
    with pytest.raises(DataError, match=r"holds no new images: all of them are in the earlier training already"):
        grown(old)
    with pytest.raises(ConfigError, match=r"the old splits can only be kept with"):
        grown(old, new, changed={"split": {"test": 0.3}})
    with pytest.raises(ConfigError, match=r"the seed of the split"):
        grown(old, new, seed=1)
    few = class_folder(tmp_path / "few", {"bee": 2}, seed=7)
    with pytest.raises(DataError, match=r"each class needs at least 3 .*, but class 'bee' has 2; add images"):
        grown(old, few)
    before = prepare(config_of(old), seed=0)
    with pytest.raises(DataError, match=r"only 0 of the 20 images .*say where.* -o data\.dataset\.root=PATH"):
        prepare(config_of(new), seed=0, remembered=Remembered(before.items, "grown"))
    shutil.rmtree(old / "cat")
    with pytest.raises(DataError, match=r"of the classes 'cat' no image of the earlier training is left"):
        prepare(config_of(old, new), seed=0, remembered=Remembered(before.items, "grown"))

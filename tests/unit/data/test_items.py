"""Lists of items by content, and the splits that a run remembers."""

import logging
import shutil
import time

import numpy as np
import pytest
from PIL import Image

from paddle_automl.core.errors import DataError
from paddle_automl.core.loading import validate
from paddle_automl.data.config import DataConfig
from paddle_automl.data.items import NOWHERE, ItemList, contents_of, match, names_of, targets_of
from paddle_automl.data.prepare import prepare, read_all
from paddle_automl.data.remembering import Remembered, describe
from paddle_automl.tasks.base import RawTargets


def listed(contents, names=None, splits=None, targets=None, folds=None) -> ItemList:
    count = len(contents)
    return ItemList(
        content=np.array(contents, dtype=np.uint64),
        targets=np.zeros(count, np.uint32) if targets is None else np.array(targets, np.uint32),
        splits=np.zeros(count, np.int8) if splits is None else np.array(splits, np.int8),
        folds=None if folds is None else np.array(folds, np.int16),
        names=None if names is None else tuple(names),
        target_names=("a", "b"),
        key="k",
    )


# -- lists ---------------------------------------------------------------------------------------------------------
def test_a_list_is_read_as_it_was_written(tmp_path):
    made = listed([1, 2, 2**64 - 1], ["猫/1.png", "b", "c"], [0, 1, -1], [0, 7, 2**32 - 1], [-1, 3, 0])
    made.write(tmp_path / "splits.json")
    read = ItemList.read(tmp_path / "splits.json")
    for name in ("content", "targets", "splits", "folds"):
        assert np.array_equal(getattr(read, name), getattr(made, name)), name
    assert (read.names, read.target_names, read.key, read.learned) == (made.names, ("a", "b"), "k", ("train",))
    made.without_names().write(tmp_path / "splits.json")
    assert ItemList.read(tmp_path / "splits.json").names is None


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-30],
        lambda text: text.replace('"version": 1', '"version": 2'),
        lambda text: text.replace('"content": "', '"content": "?'),
        lambda text: text.replace('"content": "AQAAAAAAAAAC', '"content": "'),
        lambda text: text.replace('["x", "y"]', '["x"]'),
        lambda text: text.replace('["x", "y"]', '{"x": 1}'),
        lambda text: text.replace('"learned": ["train"]', '"learned": ["t"]'),
        lambda text: text.replace('"splits": "AAA=', '"splits": "CQk='),
        lambda text: "[" * 100_000,
        lambda text: "[]",
        lambda text: "\x00",
    ],
)
def test_a_damaged_list_is_an_error_of_the_package(tmp_path, spoil):
    file = tmp_path / "splits.json"
    listed([1, 2], ["x", "y"]).write(file)
    text = file.read_text(encoding="utf-8")
    file.write_text(spoil(text), encoding="utf-8")
    assert file.read_text(encoding="utf-8") != text
    with pytest.raises(DataError, match=r"splits\.json: "):
        ItemList.read(file)


def test_what_was_added_changed_moved_and_removed_is_found():
    old = listed([10, 20, 30, 40, 50], ["a", "b", "c", "d", "e"], splits=[0, 1, 2, 0, 1])
    now = listed([20, 10, 31, 60, 50], ["x", "a", "c", "f", "e"], targets=[0, 0, 0, 0, 9])
    found = match(now, old)
    assert found.rows.tolist() == [1, 0, 2, NOWHERE, 4]
    assert (found.changed.tolist(), found.added.tolist(), found.missing.tolist()) == ([2, 4], [3], [3])
    assert found.splits_of(old).tolist() == [1, 0, 2, NOWHERE, 1]
    assert describe(found, now, old, "image") == (
        "1 image was added (for example f), 1 image was changed (for example c), "
        "1 image has another target (for example e), 1 image was removed (for example d)"
    )
    assert describe(match(old, old), old, old, "image") == ""


def test_copies_are_told_apart_by_name_and_never_counted_twice():
    old = listed([7, 7, 8], ["a", "b", "c"], splits=[0, 2, 1])
    now = listed([7, 7, 7, 8], ["b", "z", "a", "c"])
    assert match(now, old).rows.tolist() == [1, NOWHERE, 0, 2]
    assert match(listed([7, 7, 8]), old.without_names()).rows.tolist() == [0, 1, 2]
    # Unreadable items are nobody's.
    assert match(listed([0, 7], ["a", "b"]), old).rows.tolist() == [NOWHERE, 1]


def test_folds_are_splits_too():
    made = listed([1, 2, 3, 4], splits=[0, 0, 1, 2], folds=[0, 1, 1, -1])
    assert {name: rows.tolist() for name, rows in made.indices().items()} == {
        "train": [0, 1], "validation": [2], "test": [3],
    }  # fmt: skip
    assert {name: rows.tolist() for name, rows in made.indices(1).items()} == {
        "train": [0], "validation": [1, 2], "test": [3],
    }  # fmt: skip


def test_contents_and_targets_do_not_depend_on_places():
    items = np.arange(12, dtype=np.uint8).reshape(3, 2, 2)
    assert np.array_equal(contents_of(items)[::-1], contents_of(items[::-1]))
    assert len(set(contents_of(np.array(["a", "b", "a"], dtype=object)).tolist())) == 2
    one = RawTargets("classes", np.array([0, 1]), ("cat", "dog"))
    other = RawTargets("classes", np.array([2, 0]), ("dog", "eel", "cat"))
    assert np.array_equal(targets_of(one), targets_of(other))
    numbers = RawTargets("numbers", np.array([[0.5], [0.25]]), ("x",))
    assert len(set(targets_of(numbers).tolist())) == 2


def test_names_are_below_the_common_folder(tmp_path):
    assert names_of([tmp_path / "r/a/1.png", tmp_path / "r/b/2.png"]) == ("a/1.png", "b/2.png")
    assert names_of([tmp_path / "r/a/1.png"]) == ("1.png",)
    assert names_of(["text", "other"]) is None
    assert names_of(None) is None


def test_sixty_thousand_items_cost_a_second(tmp_path):
    count = 60_000
    rng = np.random.default_rng(0)
    items = rng.integers(0, 255, (count, 28, 28), dtype=np.uint8)
    sources = [tmp_path / f"class_{row % 10}" / f"image_{row}.png" for row in range(count)]
    started = time.process_time()
    made = ItemList(
        content=contents_of(items),
        targets=targets_of(RawTargets("classes", rng.integers(0, 10, count), tuple("abcdefghij"))),
        splits=rng.integers(0, 3, count).astype(np.int8),
        folds=None,
        names=names_of(sources),
        target_names=tuple("abcdefghij"),
        key="k",
    )
    made.write(tmp_path / "splits.json")
    assert not len(match(made, ItemList.read(tmp_path / "splits.json")).added)
    # About half a second; items one by one would take a minute.
    assert time.process_time() - started < 5.0
    assert (tmp_path / "splits.json").stat().st_size < 60 * count


# -- data ----------------------------------------------------------------------------------------------------------
def photo(folder, name, level):
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(level).integers(0, 255, (8, 8), dtype=np.uint8)
    Image.fromarray(pixels).save(folder / name)


@pytest.fixture
def photos(tmp_path):
    """Sixty photos in two classes."""
    for number in range(60):
        photo(tmp_path / "photos" / "ab"[number % 2], f"{number:03d}.png", number)
    return tmp_path / "photos"


def config_of(root, **sections) -> DataConfig:
    return validate(DataConfig, {"dataset": {"name": "image_folder", "root": str(root)}, **sections})


def names(split):
    return {source.name for source in split.sources}


def more(photos, count=30):
    for number in range(100, 100 + count):
        photo(photos / "ab"[number % 2], f"{number:03d}.png", number)


def test_without_changes_everything_is_as_before(photos, caplog):
    for sections in ({}, {"folds": 3, "fold": 1}):
        first = prepare(config_of(photos, **sections), seed=3)
        again = prepare(config_of(photos, **sections), seed=3, remembered=Remembered(first.items))
        for name in ("train", "validation", "test"):
            assert np.array_equal(getattr(first, name).indices, getattr(again, name).indices)
        assert again.input.fitted == first.input.fitted
    assert "changed" not in caplog.text


def test_each_item_keeps_its_split_when_others_are_added(photos, caplog):
    first = prepare(config_of(photos), seed=3)
    more(photos)
    fresh = prepare(config_of(photos), seed=3)
    assert names(fresh.test) & names(first.train), "the recipe of the fault"
    again = prepare(config_of(photos), seed=3, remembered=Remembered(first.items))
    for name in ("train", "validation", "test"):
        assert names(getattr(again, name)) == names(getattr(first, name))
    assert "the data changed since the training: 30 images were added (for example a/100.png)" in caplog.text
    student = prepare(config_of(photos), seed=3, remembered=Remembered(first.items, "student"))
    assert names(student.test) == names(first.test)
    assert len(student.train) == len(first.train) + 30


def test_moved_renamed_changed_and_deleted_files_keep_their_splits(photos, caplog):
    first = prepare(config_of(photos), seed=3)
    test = sorted(names(first.test))
    moved = photos.parent / "elsewhere"
    shutil.copytree(photos, moved)
    (next(moved.rglob(test[0]))).rename(moved / "a" / "renamed.png")
    photo(next(moved.rglob(test[1])).parent, test[1], 999)
    next(moved.rglob(test[2])).unlink()
    again = prepare(config_of(moved), seed=3, remembered=Remembered(first.items))
    assert names(again.test) == {*test[1:], "renamed.png"} - {test[2]}
    assert names(again.train) == names(first.train)
    changed = 2 if test[0] in {path.name for path in (photos / "b").iterdir()} else 1
    assert f"{changed} image{'s were' if changed > 1 else ' was'} changed" in caplog.text
    assert "1 image was removed" in caplog.text


def test_a_file_overwritten_with_one_of_another_split_is_left_out(photos, caplog):
    first = prepare(config_of(photos), seed=3)
    tested, trained = sorted(names(first.test)), sorted(names(first.train))
    target, source = next(photos.rglob(tested[0])), next(photos.rglob(trained[0]))
    shutil.copy(source, target)
    again = prepare(config_of(photos), seed=3, remembered=Remembered(first.items))
    assert names(again.test) == set(tested[1:])
    assert names(again.train) == set(trained)
    assert f"1 image is left out (for example {target.parent.name}/{tested[0]}): the content is now" in caplog.text
    assert "every other image keeps its split" in caplog.text
    # A new photo stays in the test.
    photo(target.parent, target.name, 999)
    assert names(prepare(config_of(photos), seed=3, remembered=Remembered(first.items)).test) == set(tested)


@pytest.mark.parametrize("sections", [{}, {"folds": 3, "fold": 1}])
def test_a_class_with_another_name_is_left_out_and_named(photos, caplog, sections):
    first = prepare(config_of(photos, **sections), seed=3)
    (photos / "b").rename(photos / "wolf")
    again = prepare(config_of(photos, **sections), seed=3, remembered=Remembered(first.items))
    for name in ("train", "validation", "test"):
        assert {source.parent.name for source in getattr(again, name).sources} == {"a"}
    assert "30 images have another target (for example wolf/001.png)" in caplog.text
    assert "30 images are left out (for example wolf/001.png): the network does not know 'wolf'" in caplog.text


def test_a_few_of_the_items_are_the_same_data(photos, caplog):
    first = prepare(config_of(photos), seed=3)
    kept = {path for name in ("train", "test") for path in sorted(names(getattr(first, name)))[:4]}
    for path in photos.rglob("*.png"):
        if path.name not in kept:
            path.unlink()
    again = prepare(config_of(photos), seed=3, remembered=Remembered(first.items))
    assert names(again.test) == names(first.test) & kept
    assert names(again.train) == names(first.train) & kept
    assert "52 images were removed" in caplog.text


@pytest.mark.parametrize("saved_again", [False, True])
def test_a_students_copy_of_a_test_image_is_no_training_image(photos, saved_again):
    """Nor is one that was saved again, with other bytes."""
    first = prepare(config_of(photos), seed=3)
    tested = next(photos.rglob(min(names(first.test))))
    _copy(tested, saved_again)
    student = prepare(config_of(photos), seed=3, remembered=Remembered(first.items, "student"))
    assert "copy.png" in names(student.test)
    assert "copy.png" not in names(student.train)


@pytest.mark.parametrize("saved_again", [False, True])
def test_a_students_copy_is_in_the_fold_of_its_original(photos, saved_again):
    folds = {"folds": 3, "fold": 1}
    first = prepare(config_of(photos, **folds), seed=3)
    _copy(next(photos.rglob(min(names(first.validation)))), saved_again)
    student = prepare(config_of(photos, **folds), seed=3, remembered=Remembered(first.items, "student", fold=1))
    assert "copy.png" in names(student.validation)
    assert "copy.png" not in names(student.train)


def _copy(file, saved_again):
    if not saved_again:
        shutil.copy(file, file.with_name("copy.png"))
        return
    with Image.open(file) as image:
        image.save(file.with_name("copy.png"), compress_level=0)
    assert file.with_name("copy.png").read_bytes() != file.read_bytes()


def test_with_folds_all_are_known_that_a_network_was_trained_on(photos):
    made = prepare(config_of(photos, folds=3, fold=1), seed=3)
    trained = set(Remembered(made.items, fold=1).trained.tolist())
    assert trained == set(made.train.everything.hashes[made.train.indices].tolist())
    assert trained != set(Remembered(made.items).trained.tolist())


def test_a_class_that_was_added_since_changes_nothing_of_the_task(photos):
    first = prepare(config_of(photos), seed=3)
    for number in range(200, 210):
        photo(photos / "_new", f"{number}.png", number)
    again = prepare(config_of(photos), seed=3, remembered=Remembered(first.items))
    assert again.task.names == first.task.names == ("a", "b")
    assert np.array_equal(again.test.codes, first.test.codes)
    assert again.test.with_task(first.task).codes.tolist() == first.test.codes.tolist()


def test_other_data_and_other_splits_lose_what_was_trained_on(photos, tmp_path, caplog):
    first = prepare(config_of(photos), seed=3)
    for seed, sections in ((4, {}), (3, {"split": {"test": 0.5}})):
        caplog.clear()
        other = prepare(config_of(photos, **sections), seed=seed, remembered=Remembered(first.items))
        assert other.test.sources
        assert not names(other.test) & names(first.train)
        assert not names(other.validation) & names(first.train)
        assert "of the test split were in the training split of this network, and are left out" in caplog.text
    caplog.clear()
    drawn = prepare(config_of(photos), seed=4)
    student = prepare(config_of(photos), seed=4, remembered=Remembered(first.items, "student"))
    assert names(student.test) == names(drawn.test)
    assert "of the teacher: scores on them are too good" in caplog.text
    # Other photos under the same names.
    for number in range(60):
        photo(tmp_path / "others" / "ab"[number % 2], f"{number:03d}.png", 1000 + number)
    caplog.clear()
    others = prepare(config_of(tmp_path / "others"), seed=3, remembered=Remembered(first.items))
    assert len(others.test) == len(first.test)
    assert "changed" not in caplog.text


def test_all_items_are_counted_that_were_trained_on(photos, caplog):
    first = prepare(config_of(photos), seed=3)
    more(photos, 5)
    remembered = Remembered(first.items)
    with caplog.at_level(logging.WARNING):
        split = read_all(config_of(photos), input=first.input, task=first.task, remembered=remembered)
    assert len(split) == 65
    assert f"{len(first.train)} of 65 images were in the training split of this network" in caplog.text


def test_with_the_cache_the_list_is_the_same(photos, tmp_path):
    plain = prepare(config_of(photos), seed=3)
    for _ in range(2):
        cached = prepare(config_of(photos), seed=3, cache_dir=tmp_path / "cache")
        assert np.array_equal(cached.items.content, plain.items.content)
    digits = validate(DataConfig, {"dataset": "digits"})
    one = prepare(digits, seed=0)
    for _ in range(2):
        cached = prepare(digits, seed=0, cache_dir=tmp_path / "cache")
        assert np.array_equal(cached.items.content, one.items.content)
    assert one.items.names is None


def test_how_files_are_read_does_not_change_what_they_are(photos):
    small = prepare(config_of(photos, input={"name": "image", "size": 4, "channels": 3}), seed=3)
    assert np.array_equal(small.items.content, prepare(config_of(photos), seed=3).items.content)

"""What samples say about themselves, groups of items, and words about copies."""

from pathlib import Path

import numpy as np
import pytest

from paddle_automl.core.errors import ConfigError, DataError
from paddle_automl.data.copies import report_copies
from paddle_automl.data.groups import groups_of, numbered
from paddle_automl.data.samples import Samples
from paddle_automl.data.stores import copies_of, digest_of
from paddle_automl.tasks.base import RawTargets

ITEMS = np.zeros((2, 1, 1, 1), np.uint8)


def classes(values=(0, 1), names=("a", "b")):
    return RawTargets("classes", np.asarray(values), names)


class TestSamples:
    def test_items_or_sources(self):
        with pytest.raises(DataError, match="either items or sources"):
            Samples(classes())
        with pytest.raises(DataError, match="either items or sources"):
            Samples(classes(), items=ITEMS, sources=(1, 2))

    def test_numbers_of_things(self):
        with pytest.raises(DataError, match="3 items but 2 targets"):
            Samples(classes(), items=np.zeros((3, 1)))
        with pytest.raises(DataError, match="2 items but 1 values of 'groups'"):
            Samples(classes(), items=ITEMS, groups=("a",))
        with pytest.raises(DataError, match="2 items but 3 values of 'place'"):
            Samples(classes(), items=ITEMS, columns={"place": ("a", "b", "c")})

    @pytest.mark.parametrize(
        ("targets", "message"),
        [
            (classes((0, 2)), "data.dataset: position 1: class 2, but classes are from 0 to 1"),
            (classes((0.0, 1.0)), r"classes must be integers \[N\], got float64"),
            (classes(names=("a", "a")), "names of targets must differ, given twice: a"),
            (RawTargets("labels", np.array([[0, 1], [2, 0]], np.uint8), ("a", "b")), "1: labels must be 0 or 1"),
            (RawTargets("labels", np.array([[0], [1]], np.uint8), ("a", "b")), r"shape \[2, 1\], but there are 2"),
            (RawTargets("numbers", np.array([[0, 1], [2, np.nan]]), ("x", "y")), "1: the target 'y' is nan; every"),
            (RawTargets("numbers", np.array([[-np.inf], [2]]), ("x",)), "position 0: the target 'x' is -inf"),
        ],
    )
    def test_targets(self, targets, message):
        with pytest.raises(DataError, match=message):
            Samples(targets, items=ITEMS)

    def test_the_place_of_a_mistake(self):
        wrong = RawTargets("numbers", np.array([[1], [np.nan]]), ("x",))
        with pytest.raises(DataError, match=r"list\.txt:9: the target"):
            Samples(wrong, sources=(Path("a"), Path("b")), origins=("list.txt:8", "list.txt:9"))
        with pytest.raises(DataError, match=r"b\.png: the target"):
            Samples(wrong, sources=(Path("a.png"), Path("b.png")))

    def test_a_kind_of_ones_own_is_not_looked_at(self):
        assert len(Samples(RawTargets("boxes", np.array([None, None]), ("x",)), items=ITEMS)) == 2


class TestGroups:
    samples = Samples(
        classes((0, 1, 0)),
        sources=(Path("/x/p1/a_1.png"), Path("/x/p1/b_2.png"), Path("/x/p2/a_3.png")),
        columns={"place": ("u", "v", "u"), "empty": ("u", "", "v")},
    )

    def test_columns(self):
        assert groups_of(self.samples, "place") == ("u", "v", "u")
        assert groups_of(self.samples, None) is None
        with pytest.raises(DataError, match=r"b_2\.png: the column 'empty' is empty"):
            groups_of(self.samples, "empty")

    def test_patterns_over_names_and_over_paths(self):
        assert groups_of(self.samples, "^([a-z])_") == ("a", "b", "a")
        assert groups_of(self.samples, "/(p[0-9])/") == ("p1", "p1", "p2")

    def test_a_data_set_may_know_its_groups(self):
        own = Samples(classes(), items=ITEMS, groups=("g", "h"))
        assert groups_of(own, None) == ("g", "h")
        with pytest.raises(ConfigError, match="is a pattern over file names, but the data set has no files"):
            groups_of(own, "(x)")

    @pytest.mark.parametrize(
        ("group", "message"),
        [
            ("palce", r"data\.group: 'palce' must be a column .*; did you mean 'place'\?; columns: place, empty"),
            ("^[a-z]_", "a regular expression with one group in parentheses"),
            ("(a)(b)", "a regular expression with one group in parentheses"),
            ("(a", "neither a column nor a regular expression: .*columns: place, empty"),
        ],
    )
    def test_mistakes(self, group, message):
        with pytest.raises(ConfigError, match=message):
            groups_of(self.samples, group)

    def test_files_without_a_group(self):
        with pytest.raises(DataError, match=r"not found in the name of 1 of 3 files, for example /x/p1/b_2"):
            groups_of(self.samples, "^(a)_")
        with pytest.raises(DataError, match=r"is not found in the name of 2 of 3 files"):
            groups_of(self.samples, "a_(3)?")

    def test_numbers_of_texts(self):
        numbers, names = numbered(("b", "a", "b"))
        assert numbers.tolist() == [1, 0, 1]
        assert names == ("a", "b")


class TestCopies:
    def test_content_is_compared(self):
        items = np.random.default_rng(0).integers(0, 256, (5, 3, 4), dtype=np.uint8)
        items[3] = items[1]
        items[4] = items[1]
        assert copies_of(items) == {3: 1, 4: 1}
        assert copies_of(np.array(["a", "b", "a"], dtype=object)) == {2: 0}
        assert digest_of(np.zeros((2, 3), np.uint8)) != digest_of(np.zeros((3, 2), np.uint8))

    def test_what_is_said(self, caplog):
        samples = Samples(
            classes((0, 0, 1, 1, 0)), sources=tuple(Path(f"{name}.png") for name in "abcde"), origins=tuple("12345")
        )
        splits = {"train": np.array([0, 2]), "validation": np.array([1, 4]), "test": np.array([3])}
        report_copies(samples, {1: 0, 3: 0}, splits, "image")
        assert "2 images of 5 with the same content as another one, for example a.png and b.png" in caplog.text
        assert "but a different target: 1 image, for example a.png and d.png" in caplog.text
        assert "1 image of the validation split is also in the training split, for example b.png (a.png)" in (
            caplog.text
        )
        # No score becomes better by a copy with another target.
        assert "of the test split" not in caplog.text
        caplog.clear()
        splits = {"train": np.array([0, 2]), "validation": np.array([4]), "test": np.array([1, 3])}
        report_copies(samples, {1: 0, 3: 0}, splits, "image")
        assert "1 image of the test split is also in the training or the validation split, for example b.png" in (
            caplog.text
        )

    def test_nothing_is_said_without_copies(self, caplog):
        splits = {"train": np.array([0]), "validation": np.array([1]), "test": np.array([], int)}
        report_copies(Samples(classes(), items=ITEMS), {}, splits, "text")
        assert not caplog.records

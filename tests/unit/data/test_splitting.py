"""Splits of classes, labels and numbers: proportions, seeds, groups, copies, folds."""

from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given as given_by
from hypothesis import settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from paddle_automl.core.errors import DataError
from paddle_automl.data.config import SplitConfig
from paddle_automl.data.groups import numbered
from paddle_automl.data.splitting import Rows, fold_pieces, joined, split_indices, with_fold
from paddle_automl.data.stratify import iterative
from paddle_automl.tasks.base import Strata

LABELS = np.repeat([0, 1, 2], [10, 20, 5])
DIGITS = [
    (1, 0, "93d4d0f413f6b988 a74750fb11d66716 7dc5f8a064da2033"),
    (1, 1, "8f58eb6713438656 2808c4f1c79efaa8 c6c8091b20b0deca"),
    (1, 2, "e0f4f1d25cc84e12 68151fa1687a44d0 8d6c815a58beed23"),
    (3, 0, "392692058a7b3382 f48336c47bab3c3d eb91c25394652c74"),
    (3, 1, "a97b5596196dd924 a60e6e88ce8e6bfc de06064711f0a6c9"),
    (3, 2, "a6fdd18833babd24 d1f1902c65dd0662 4421f97ea988bee2"),
]
"""How many digits of a class are equal, the seed, and digests of three ways to split."""


def digest(parts):
    """Return the first digits of the SHA-256 of the items of the splits."""
    items = [np.asarray(parts[name], dtype="<i8").tobytes() for name in ("train", "validation", "test")]
    return sha256(b"".join(items)).hexdigest()[:16]


def rows_of(labels, names="abc", *, copies=None, groups=None, usable=None, every=True):
    """Return what is known of items of these classes or labels; `groups` are texts."""
    count = len(labels)
    numbers, group_names = numbered(tuple(groups)) if groups is not None else (None, ())
    return Rows(
        strata=Strata(np.asarray(labels), tuple(names), every=every),
        usable=np.ones(count, dtype=bool) if usable is None else usable,
        copies=np.arange(count) if copies is None else np.asarray(copies),
        groups=numbers,
        group_names=group_names,
        word="image",
    )


def fold_indices(rows, given, split, *, folds, fold, seed):
    """Return the splits where fold `fold` of `folds` is the validation split."""
    splits = split_indices(rows, given, split, seed=seed, folds=folds)
    return with_fold(splits, fold_pieces(rows, given, splits, folds=folds, seed=seed), fold)


class TestClasses:
    labels = LABELS

    def split(self, given=None, seed=0, names="abc", labels=LABELS, **fractions):
        return split_indices(rows_of(labels, names), given or {}, SplitConfig(**fractions), seed=seed)

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

    def test_items_that_cannot_be_read_are_in_no_split(self):
        usable = np.ones(35, dtype=bool)
        usable[[0, 12, 34]] = False
        given = {"test": np.array([0, 1, 20])}
        parts = split_indices(rows_of(LABELS, usable=usable), given, SplitConfig(), seed=0)
        assert parts["test"].tolist() == [1, 20]
        assert not {0, 12, 34} & set(np.concatenate(list(parts.values())).tolist())

    def test_the_draws_are_those_of_the_first_version(self):
        """A seed gives the splits that it always gave, class by class in the order of the classes."""
        rng = np.random.default_rng(np.random.SeedSequence([0, 5743103820169484973]))
        expected = {"train": [], "validation": [], "test": []}
        for label in range(3):
            members = rng.permutation(np.flatnonzero(label == LABELS))
            count = int(len(members) * 0.2 + 0.5)
            expected["validation"] += members[:count].tolist()
            expected["test"] += members[count : 2 * count].tolist()
            expected["train"] += members[2 * count :].tolist()
        assert {name: rows.tolist() for name, rows in self.split().items()} == {
            name: sorted(rows) for name, rows in expected.items()
        }


class TestCopies:
    def test_copies_of_one_class_stay_together(self):
        """Ten images of each of two classes, each three times."""
        labels = np.repeat([0, 1], 30)
        copies = np.repeat(np.arange(20) * 3, 3)
        parts = split_indices(rows_of(labels, "ab", copies=copies), {}, SplitConfig(), seed=0)
        counts = {name: np.bincount(labels[rows]).tolist() for name, rows in parts.items()}
        assert counts == {"train": [18, 18], "validation": [6, 6], "test": [6, 6]}
        where = {name: set(copies[rows]) for name, rows in parts.items()}
        assert not where["train"] & where["validation"]
        assert not (where["train"] | where["validation"]) & where["test"]

    def test_a_class_with_too_few_different_images_is_parted_after_all(self):
        labels = np.repeat([0, 1], [6, 9])
        copies = np.concatenate([np.zeros(6, int), np.arange(6, 15)])
        parts = split_indices(rows_of(labels, "ab", copies=copies), {}, SplitConfig(), seed=0)
        assert all((labels[rows] == 0).any() for rows in parts.values())

    def test_one_large_set_of_copies_fills_no_split_alone_with_everything(self):
        labels = np.zeros(100, int)
        labels[::2] = 1
        copies = np.arange(100)
        copies[labels == 1] = np.minimum(copies[labels == 1], 40)
        parts = split_indices(rows_of(labels, "ab", copies=copies), {}, SplitConfig(), seed=3)
        assert all((labels[rows] == 1).any() for rows in parts.values())
        assert len({name for name, rows in parts.items() if (copies[rows] == 40).any()}) == 1

    @pytest.mark.parametrize(("count", "equal"), [(60, 40), (1000, 300), (40, 12), (500, 490)])
    def test_a_large_set_of_copies_is_for_training(self, count, equal):
        """Texts are often equal, such as "ok"; they are neither most of what is judged by, nor all that is."""
        copies = np.maximum(np.arange(count), equal - 1)
        rows = rows_of(np.zeros(count, int), "a", copies=np.flip(copies))
        each = max(1, int((count - equal) / 5 + 0.5))
        for seed in range(50):
            parts = split_indices(rows, {}, SplitConfig(), seed=seed)
            assert [len(parts[name]) for name in ("train", "validation", "test")] == [count - 2 * each, each, each]
            assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(count))

    @pytest.mark.parametrize("sizes", [[201] * 4 + [1] * 196, [50, 50, 50], [90, 90, 1], [30, 25, 25, 20, 2, 1]])
    def test_several_large_sets_of_copies_leave_no_split_empty(self, sizes):
        """Training has its share at least, as far as it can."""
        copies = np.repeat(np.arange(len(sizes)), sizes)
        rows = rows_of(np.zeros(len(copies), int), "a", copies=copies)
        for seed in range(20):
            parts = split_indices(rows, {}, SplitConfig(), seed=seed)
            assert all(len(indices) for indices in parts.values())
            assert len(parts["train"]) >= min(0.6 * len(copies), sum(sorted(sizes, reverse=True)[:-2]))
            where = [set(copies[indices]) for indices in parts.values()]
            assert sum(map(len, where)) == len(sizes)

    @pytest.mark.parametrize("copied", [3, 4, 5])
    def test_copies_too_many_for_a_small_split_can_be_in_a_larger_one(self, copied):
        """Of 40 items each is there some times; the validation split should have two of them, the test 16."""
        copies = np.repeat(np.arange(40 // copied + 1), copied)[:40]
        rows = rows_of(np.zeros(40, int), "a", copies=copies)
        for seed in range(20):
            parts = split_indices(rows, {}, SplitConfig(validation=0.05, test=0.4), seed=seed)
            assert 1 <= len(parts["validation"]) <= copied
            assert abs(len(parts["test"]) - 16) <= copied / 2
            assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(40))

    @pytest.mark.parametrize(("copied", "seed", "expected"), DIGITS)
    def test_without_large_sets_the_draws_are_those_of_the_first_version(self, copied, seed, expected):
        """The SHA-256 of the splits of digits, with folds too, and where `copied` digits of a class are equal."""
        digits = load_digits().target.astype(np.int64)
        copies = np.argsort(np.argsort(digits, kind="stable")) // copied
        rows = rows_of(digits, "0123456789", copies=copies)
        found = (
            split_indices(rows, {}, SplitConfig(), seed=seed),
            fold_indices(rows, {}, SplitConfig(), folds=5, fold=2, seed=seed),
            split_indices(rows, {}, SplitConfig(validation=0.05, test=0.0), seed=seed),
        )
        assert " ".join(map(digest, found)) == expected

    def test_copies_of_labels_and_of_numbers_stay_together(self):
        copies = np.repeat(np.arange(20) * 3, 3)
        labels = np.random.default_rng(0).integers(0, 2, (60, 4)).astype(np.uint8)
        for rows in (
            rows_of(labels, "abcd", copies=copies, every=False),
            Rows(strata=None, usable=np.ones(60, dtype=bool), copies=copies),
        ):
            parts = split_indices(rows, {}, SplitConfig(), seed=0)
            where = [set(copies[indices]) for indices in parts.values()]
            assert sum(map(len, where)) == 20
            assert [len(parts[name]) for name in ("train", "validation", "test")] == [36, 12, 12]


class TestLabels:
    def test_every_label_keeps_its_proportion(self):
        rng = np.random.default_rng(1)
        labels = (rng.random((1000, 5)) < [0.5, 0.3, 0.1, 0.05, 0.01]).astype(np.uint8)
        parts = split_indices(rows_of(labels, "abcde", every=False), {}, SplitConfig(), seed=0)
        assert abs(len(parts["validation"]) - 200) <= 10
        for name, fraction in (("train", 0.6), ("validation", 0.2), ("test", 0.2)):
            got = labels[parts[name]].sum(axis=0)
            np.testing.assert_allclose(got, labels.sum(axis=0) * fraction, atol=2, rtol=0.03)

    def test_it_is_closer_to_the_proportions_than_chance(self):
        rng = np.random.default_rng(2)
        labels = (rng.random((300, 8)) < 0.05).astype(np.uint8)
        wanted = labels.sum(axis=0) * 0.2
        parts = split_indices(rows_of(labels, "abcdefgh", every=False), {}, SplitConfig(), seed=0)
        ours = np.abs(labels[parts["test"]].sum(axis=0) - wanted).sum()
        chance = [np.abs(labels[rng.permutation(300)[:60]].sum(axis=0) - wanted).sum() for _ in range(20)]
        assert ours < min(chance)

    def test_a_label_of_three_items_reaches_all_splits(self):
        labels = np.zeros((60, 2), np.uint8)
        labels[:, 0] = 1
        labels[[3, 30, 50], 1] = 1
        parts = split_indices(rows_of(labels, "ab", every=False), {}, SplitConfig(), seed=0)
        assert all(labels[rows, 1].sum() == 1 for rows in parts.values())

    @pytest.mark.parametrize("different", [5, 8, 20])
    def test_a_large_set_of_copies_leaves_no_split_and_no_fold_empty(self, different):
        """Half of the items are equal, such as empty texts."""
        copies = np.minimum(np.arange(2 * different - 1), different - 1)
        for seed in range(100):
            labels = (np.random.default_rng(seed).random((len(copies), 12)) < 0.05).astype(np.uint8)
            rows = rows_of(labels, "abcdefghijkl", copies=copies, every=False)
            parts = split_indices(rows, {}, SplitConfig(validation=0.05), seed=seed)
            pieces = fold_pieces(rows, {}, parts, folds=4, seed=seed) if different > 5 else []
            assert all(len(piece) for piece in (*parts.values(), *pieces))
            assert sorted(np.concatenate(list(parts.values())).tolist()) == list(range(len(copies)))

    def test_too_few_different_items(self):
        rows = rows_of(np.ones((9, 1), np.uint8), "a", copies=np.repeat([0, 1], [8, 1]), every=False)
        with pytest.raises(DataError, match=r"data\.split: 2 different images cannot fill 3 splits or folds; add"):
            split_indices(rows, {}, SplitConfig(), seed=0)

    def test_depends_on_the_seed(self):
        labels = np.random.default_rng(0).integers(0, 2, (50, 3)).astype(np.uint8)
        one, two, other = (
            split_indices(rows_of(labels, every=False), {}, SplitConfig(), seed=seed) for seed in (0, 0, 1)
        )
        assert all((one[name] == two[name]).all() for name in one)
        assert any(set(one[name]) != set(other[name]) for name in one)

    def test_items_without_a_label_fill_up_what_is_missing(self):
        counts = np.zeros((10, 2), dtype=np.int64)
        counts[:3, 0] = 1
        subset = iterative(counts, np.ones(10, dtype=np.int64), [0.5, 0.5], np.random.default_rng(0))
        assert np.bincount(subset).tolist() == [5, 5]

    @settings(max_examples=50, deadline=None)
    @given_by(st.data())
    def test_every_unit_is_dealt_once(self, data):
        units, labels = data.draw(st.integers(1, 30)), data.draw(st.integers(0, 5))
        rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
        sizes = rng.integers(1, 5, units)
        counts = rng.integers(0, 2, (units, labels)) * sizes[:, None]
        subset = iterative(counts, sizes, [0.2, 0.3, 0.5], rng)
        assert ((subset >= 0) & (subset < 3)).all()


class TestNumbers:
    def test_any_split_of_the_right_size(self):
        rows = Rows(strata=None, usable=np.ones(50, dtype=bool), copies=np.arange(50))
        parts = split_indices(rows, {}, SplitConfig(), seed=0)
        assert [len(parts[name]) for name in ("train", "validation", "test")] == [30, 10, 10]

    def test_too_few(self):
        rows = Rows(strata=None, usable=np.array([True, True, False]), copies=np.arange(3), word="text")
        with pytest.raises(DataError, match="2 readable texts are not enough: at least 3 are needed"):
            split_indices(rows, {}, SplitConfig(), seed=0)


class TestGroups:
    @pytest.mark.parametrize("kind", ["classes", "labels", "numbers"])
    @pytest.mark.parametrize("seed", range(3))
    def test_no_group_is_parted(self, kind, seed):
        rng = np.random.default_rng(seed)
        groups = tuple(f"patient {number}" for number in rng.integers(0, 40, 300))
        labels = {
            "classes": rng.integers(0, 3, 300),
            "labels": rng.integers(0, 2, (300, 3)).astype(np.uint8),
            "numbers": None,
        }[kind]
        if labels is None:
            numbers, names = numbered(groups)
            rows = Rows(None, np.ones(300, dtype=bool), np.arange(300), numbers, names)
        else:
            rows = rows_of(labels, groups=groups, every=kind == "classes")
        parts = split_indices(rows, {}, SplitConfig(), seed=seed)
        where = [{groups[row] for row in indices} for indices in parts.values()]
        assert sum(map(len, where)) == len(set(groups))
        assert sum(len(indices) for indices in parts.values()) == 300
        assert abs(len(parts["validation"]) - 60) <= 15
        if kind == "classes":
            for indices in parts.values():
                np.testing.assert_allclose(np.bincount(labels[indices]) / len(indices), 1 / 3, atol=0.12)

    def test_a_group_in_two_given_splits_stops(self):
        given = {"train": np.arange(20), "test": np.arange(20, 30)}
        groups = [f"p{number // 3}" for number in range(30)]
        with pytest.raises(
            DataError, match=r"data\.group: the group 'p6' is both in the train split and in the test"
        ):
            split_indices(rows_of(np.arange(30) % 2, "ab", groups=groups), given, SplitConfig(), seed=0)

    def test_a_group_in_a_given_split_and_outside_stops(self):
        groups = [f"p{number // 3}" for number in range(30)]
        with pytest.raises(
            DataError, match="the group 'p6' is both in the test split and in the images outside of"
        ):
            split_indices(
                rows_of(np.arange(30) % 2, "ab", groups=groups), {"test": np.arange(20, 30)}, SplitConfig(), seed=0
            )

    @pytest.mark.parametrize("seed", range(6))
    def test_few_groups_are_moved_until_each_class_is_everywhere(self, seed):
        # How many items of each class eight patients have; 8 % of all divisions have each class in each split.
        patients = [[0, 0, 5], [4, 0, 0], [1, 4, 1], [0, 7, 0], [0, 3, 1], [1, 0, 0], [9, 0, 0], [2, 0, 2]]
        labels = np.concatenate([np.repeat([0, 1, 2], counts) for counts in patients])
        groups = [f"p{number}" for number, counts in enumerate(patients) for _ in range(sum(counts))]
        parts = split_indices(rows_of(labels, groups=groups), {}, SplitConfig(), seed=seed)
        for indices in parts.values():
            assert set(labels[indices]) == {0, 1, 2}
        assert len(parts["train"]) > len(labels) / 2

    def test_too_few_groups_of_a_class(self):
        groups = ["a"] * 10 + [f"b{number}" for number in range(20)]
        with pytest.raises(
            DataError, match=r"the class 'a' has images in 1 group, which do not reach all 3 splits"
        ):
            split_indices(rows_of(np.repeat([0, 1], [10, 20]), "ab", groups=groups), {}, SplitConfig(), seed=0)

    def test_too_few_groups_at_all(self):
        rows = Rows(None, np.ones(9, dtype=bool), np.arange(9), np.arange(9) % 2, ("x", "y"))
        with pytest.raises(DataError, match="too few groups to fill 3 splits"):
            split_indices(rows, {}, SplitConfig(), seed=0)

    def test_groups_that_share_a_copy_are_one(self):
        one, two, three, four, other = joined(np.array([0, 0, 1, 1, 2]), np.array([9, 8, 8, 7, 6])).tolist()
        assert one == two == three == four != other
        groups = np.arange(40) // 2
        copies = np.arange(40)
        copies[[3, 5]] = 3
        rows = Rows(None, np.ones(40, dtype=bool), copies, groups, tuple(map(str, range(20))))
        parts = split_indices(rows, {}, SplitConfig(), seed=0)
        assert len({name for name, indices in parts.items() if {2, 3, 4, 5} & set(indices.tolist())}) == 1


class TestFolds:
    def folds(self, rows, count, seed=0, given=None):
        return [
            fold_indices(rows, given or {}, SplitConfig(), folds=count, fold=fold, seed=seed)
            for fold in range(count)
        ]

    @pytest.mark.parametrize("kind", ["classes", "labels", "numbers", "groups"])
    def test_each_item_but_those_of_the_test_is_validated_once(self, kind):
        rng = np.random.default_rng(0)
        labels = rng.integers(0, 3, 100)
        rows = {
            "classes": rows_of(labels),
            "labels": rows_of(np.eye(3, dtype=np.uint8)[labels], every=False),
            "numbers": Rows(None, np.ones(100, dtype=bool), np.arange(100)),
            "groups": rows_of(labels, groups=[f"p{number}" for number in rng.integers(0, 40, 100)]),
        }[kind]
        parts = self.folds(rows, 4)
        usual = split_indices(rows, {}, SplitConfig(), seed=0)
        assert all((part["test"] == usual["test"]).all() for part in parts)
        validated = np.concatenate([part["validation"] for part in parts])
        assert sorted(validated.tolist()) == sorted([*usual["train"].tolist(), *usual["validation"].tolist()])
        for part in parts:
            assert sorted([*part["train"], *part["validation"]]) == sorted(validated)
            if kind == "classes":
                sizes = np.bincount(labels[part["validation"]], minlength=3)
                np.testing.assert_allclose(sizes, np.bincount(labels[validated]) / 4, atol=1)
            if kind == "groups":
                assert not set(rows.groups[part["train"]]) & set(rows.groups[part["validation"]])
        sizes = [len(part["validation"]) for part in parts]
        assert max(sizes) - min(sizes) <= (8 if kind == "groups" else 1)

    def test_copies_are_in_one_fold(self):
        copies = np.repeat(np.arange(30) * 2, 2)
        rows = rows_of(np.repeat([0, 1], 30), "ab", copies=copies)
        for part in self.folds(rows, 3):
            assert not set(copies[part["train"]]) & set(copies[part["validation"]])

    def test_a_given_test_split_is_kept(self):
        given = {"train": np.arange(25), "test": np.arange(25, 35)}
        parts = self.folds(rows_of(np.arange(35) % 3), 5, given=given)
        assert all(part["test"].tolist() == list(range(25, 35)) for part in parts)

    def test_mistakes(self):
        with pytest.raises(DataError, match=r"data\.folds: the data set itself defines a validation split"):
            self.folds(rows_of(LABELS), 3, given={"validation": np.array([0, 11, 31])})
        with pytest.raises(
            DataError,
            match=r"at least 6 readable images \(one for each of 5 folds and one for test\), but class 'c' has 5;",
        ):
            self.folds(rows_of(LABELS), 5)
        with pytest.raises(DataError, match="cannot be divided into 9 folds"):
            self.folds(Rows(None, np.ones(9, dtype=bool), np.arange(9)), 9)

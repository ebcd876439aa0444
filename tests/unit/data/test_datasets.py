"""Data sets of arrays: what is read, and what is said about mistakes."""

import gzip

import numpy as np
import pytest

from paddle_automl.core.errors import DataError
from tests.unit.data.loading import load
from tests.unit.data.pictures import write_idx


class TestDigits:
    def test_content(self):
        samples = load("digits")
        assert samples.items.shape == (1797, 8, 8, 1)
        assert samples.items.max() == 255
        assert samples.targets.names == tuple("0123456789")
        assert np.bincount(samples.targets.values).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
        assert samples.items[0, 0, :, 0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]  # 0 0 5 13 9 1 0 0 of 16

    def test_other_targets(self):
        digits = load("digits").targets.values
        both = load("digits", target="digit_and_parity").targets
        assert both.kind == "labels"
        assert both.names == (*"0123456789", "even", "odd")
        assert both.values.dtype == np.uint8
        assert (both.values[:, :10].argmax(axis=1) == digits).all()
        assert (both.values.sum(axis=1) == 2).all()
        assert (both.values[:, 11] == digits % 2).all()
        value = load("digits", target="value").targets
        assert (value.kind, value.names, value.values.shape) == ("numbers", ("value",), (1797, 1))
        assert (value.values[:, 0] == digits).all()
        ink = load("digits", target="ink").targets
        assert ink.values.dtype == np.float64
        assert ink.values[0, 0] == 294


class TestIdx:
    @pytest.fixture
    def root(self, tmp_path):
        images = np.arange(6 * 3 * 2, dtype=np.uint8).reshape(6, 3, 2)
        raw = write_idx(tmp_path / "train-images-idx3-ubyte", images)
        (tmp_path / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(raw))
        (tmp_path / "train-images-idx3-ubyte").unlink()
        write_idx(tmp_path / "train-labels-idx1-ubyte", np.array([0, 1, 2, 0, 1, 2]))
        write_idx(tmp_path / "t10k-images-idx3-ubyte", images[:2])
        write_idx(tmp_path / "t10k-labels-idx1-ubyte", np.array([2, 1]))
        return tmp_path

    def test_plain_and_gzipped_files(self, root):
        samples = load("idx", root=str(root))
        assert samples.items.shape == (8, 3, 2, 1)
        assert samples.items[1, :, :, 0].tolist() == [[6, 7], [8, 9], [10, 11]]
        assert samples.targets.values.tolist() == [0, 1, 2, 0, 1, 2, 2, 1]
        assert samples.targets.names == ("0", "1", "2")
        assert samples.splits["test"].tolist() == [6, 7]

    def test_without_test_part_and_with_names(self, root):
        samples = load("idx", root=str(root), test_images=None, test_labels=None, class_names=["衣", "裤", "鞋"])
        assert list(samples.splits) == ["train"]
        assert samples.targets.names == ("衣", "裤", "鞋")

    def test_mistakes(self, root):
        with pytest.raises(DataError, match="need each other"):
            load("idx", root=str(root), test_images=None)
        with pytest.raises(DataError, match=r"data\.dataset\.train_images: neither '.*no' nor the same with"):
            load("idx", root=str(root), train_images="no")
        with pytest.raises(DataError, match="label 2 at position 2; with 2 class names"):
            load("idx", root=str(root), class_names=["a", "b"])
        write_idx(root / "t10k-labels-idx1-ubyte", np.array([2, 1, 0]))
        with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte: 3 targets for the 2 images of .*t10k-im"):
            load("idx", root=str(root))

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "is not an idx file"),
            (b"\0\0\x0d\x01\0\0\0\0", "is not an idx file of uint8 values; it starts with 00 00 0d 01"),
            (b"\0\0\x08\x01\0\0\0\x05ab", r"is truncated or damaged: 10 bytes for an array of shape \[5\]"),
            (b"\0\0\x08\x03\0\0", "is truncated or damaged"),
            (b"\0\0\x08\x00", "is truncated or damaged"),
            (b"\0\0\x08\x04" + b"\xff" * 16, "is truncated or damaged"),
            (gzip.compress(b"\0\0\x08\x01\0\0\x03\xe8" + b"x" * 1000, mtime=0)[:20], "cannot read the file"),
            (b"\x1f\x8b\x08\0\0\0\0\0\0\x03garbage", "cannot read the file"),
        ],
    )
    def test_damaged_files(self, root, content, message):
        (root / "train-labels-idx1-ubyte").write_bytes(content)
        with pytest.raises(DataError, match=f"train-labels-idx1-ubyte: {message}"):
            load("idx", root=str(root))


class TestNpz:
    def arrays(self, **changes):
        rng = np.random.default_rng(0)
        arrays = {
            "x_train": rng.integers(0, 256, (6, 4, 5, 3), dtype=np.uint8),
            "y_train": np.array([3, 5, 9, 3, 5, 9]),
            "x_test": rng.integers(0, 256, (2, 4, 5, 3), dtype=np.uint8),
            "y_test": np.array([[9], [3]]),
        }
        return {key: value for key, value in (arrays | changes).items() if value is not None}

    def load(self, tmp_path, options=None, **changes):
        np.savez(tmp_path / "数据 1.npz", **self.arrays(**changes))
        return load("npz", path=str(tmp_path / "数据 1.npz"), **(options or {}))

    def test_labels_of_any_numbers(self, tmp_path):
        samples = self.load(tmp_path)
        assert samples.targets.names == ("3", "5", "9")
        assert samples.targets.values.tolist() == [0, 1, 2, 0, 1, 2, 2, 0]
        assert (samples.items[6:] == self.arrays()["x_test"]).all()

    def test_names_texts_grey_and_validation(self, tmp_path):
        samples = self.load(
            tmp_path,
            x_train=np.zeros((3, 4, 5), np.uint8),
            y_train=np.array(["b", "猫", "a"]),
            x_val=np.ones((1, 4, 5, 1), np.uint8),
            y_val=np.array(["猫"]),
            x_test=None,
            y_test=None,
        )
        assert samples.targets.names == ("a", "b", "猫")
        assert samples.targets.values.tolist() == [1, 2, 0, 2]
        assert samples.items.shape == (4, 4, 5, 1)
        assert samples.splits["validation"].tolist() == [3]
        with_names = self.load(
            tmp_path, y_train=np.array([0, 1, 2, 0, 1, 2]), y_test=np.array([2, 0]), class_names=list("xyz")
        )
        assert with_names.targets.names == ("x", "y", "z")

    def test_several_labels_and_numbers(self, tmp_path):
        flags = np.array([[1, 0], [1, 1], [0, 0], [0, 1], [1, 0], [1, 1]])
        samples = self.load(tmp_path, y_train=flags, y_test=flags[:2], class_names=np.array(["sun", "rain"]))
        assert (samples.targets.kind, samples.targets.names) == ("labels", ("sun", "rain"))
        assert (samples.targets.values[:6] == flags).all()
        assert self.load(tmp_path, y_train=flags > 0, y_test=flags[:2] > 0).targets.names == ("0", "1")
        numbers = np.linspace(-1, 1, 6)
        samples = self.load(tmp_path, y_train=numbers, y_test=numbers[:2].astype(np.float32))
        assert (samples.targets.kind, samples.targets.names) == ("numbers", ("value",))
        np.testing.assert_allclose(samples.targets.values[:, 0], [*numbers, *numbers[:2]], atol=1e-7)
        two = self.load(tmp_path, y_train=np.stack([numbers] * 2, 1), y_test=np.ones((2, 2)))
        assert two.targets.names == ("value_0", "value_1")

    def test_texts_that_are_numbers_are_in_the_order_of_numbers(self, tmp_path):
        texts = np.array(["10", "9", "10", "9", "1", "1"])
        samples = self.load(tmp_path, y_train=texts, y_test=np.array(["9", "10"]))
        assert samples.targets.names == ("1", "9", "10")
        assert samples.targets.values.tolist() == [2, 1, 2, 1, 0, 0, 1, 2]

    def test_names_order_texts(self, tmp_path):
        texts = np.array(["b", "a", "b", "a", "b", "a"])
        samples = self.load(tmp_path, {"class_names": ["b", "a"]}, y_train=texts, y_test=np.array(["a", "b"]))
        assert samples.targets.values.tolist() == [0, 1, 0, 1, 0, 1, 1, 0]

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"x_train": None}, "has no array 'x_train'; it holds y_train, x_test, y_test"),
            ({"x_train": None, "y_train": None}, "has no arrays 'x_train' and 'y_train'"),
            ({"x_train": np.zeros((6, 4, 5, 3))}, "x_train: images must be uint8 from 0 to 255, got float64"),
            ({"x_train": np.zeros((6, 3, 4, 5), np.uint8)}, r"with 1, 3 or 4 channels .*got \[6, 3, 4, 5\]"),
            ({"x_test": np.zeros((2, 4, 4, 3), np.uint8)}, r"images of shape \[4, 4, 3\], but .*x_train has"),
            ({"y_train": np.zeros(5, int)}, "y_train: 5 targets for the 6 images of"),
            ({"y_train": np.zeros(6)}, r"targets of different kinds \(.*y_train: numbers, .*y_test: integers\)"),
            ({"y_test": np.array(["a", "b"])}, r"different kinds \(.*y_train: integers, .*y_test: texts\)"),
            (
                {"y_train": np.zeros((6, 2, 2), int)},
                r"targets must be \[N\] .*got int64 \[6, 2, 2\]",
            ),
            ({"y_train": np.zeros(6, complex)}, "targets must be .* got complex128"),
            ({"y_train": np.array([["a", "b"]] * 6)}, r"texts must be \[N\], one class each, got \[6, 2\]"),
            ({"y_train": np.eye(6, dtype=int) * 2}, "2 at row 0, column 0: several integers per item are labels"),
            (
                {"y_train": np.ones(6), "y_test": np.array([1, np.nan])},
                "y_test: nan at row 1, column 0",
            ),
            ({"y_train": np.array([0, 1, 2, np.inf, 4, 5]), "y_test": np.ones(2)}, "y_train: inf at row 3"),
            ({"y_train": np.ones((6, 2)), "y_test": np.ones((2, 3))}, "y_test: 3 columns, but .*y_train has 2"),
            (
                {"y_train": np.ones((6, 2)), "y_test": np.ones((2, 2)), "class_names": np.array(["a"])},
                "y_train: 2 columns for 1 names: a",
            ),
            ({"y_train": np.array([None] * 6)}, "the array 'y_train' cannot be read: .*allow_pickle"),
            ({"class_names": np.array(["a", "a"])}, "given twice: a"),
            ({"class_names": np.array(["a", "b"])}, "y_train: label 3 at position 0; with 2 class names"),
        ],
    )
    def test_mistakes(self, tmp_path, changes, message):
        with pytest.raises(DataError, match=message):
            self.load(tmp_path, **changes)

    def test_texts_that_are_no_class_name(self, tmp_path):
        texts = np.array(["b", "a", "b", "a", "b", "c"])
        with pytest.raises(DataError, match="labels that are not class names: c"):
            self.load(tmp_path, {"class_names": ["b", "a"]}, y_train=texts, y_test=np.array(["a", "b"]))

    def test_wrong_files(self, tmp_path):
        with pytest.raises(DataError, match=r"data\.dataset\.path: the file '.*' does not exist"):
            load("npz", path=str(tmp_path / "no.npz"))
        (tmp_path / "text.npz").write_text("hello")
        with pytest.raises(DataError, match=r"text\.npz: is not a NumPy archive"):
            load("npz", path=str(tmp_path / "text.npz"))
        np.save(tmp_path / "single.npy", np.zeros(3))
        with pytest.raises(DataError, match="is a single array"):
            load("npz", path=str(tmp_path / "single.npy"))
        np.savez(tmp_path / "a.npz", **self.arrays())
        raw = (tmp_path / "a.npz").read_bytes()
        (tmp_path / "cut.npz").write_bytes(raw[: len(raw) // 2])
        with pytest.raises(DataError, match=r"cut\.npz: is not a NumPy archive, or is damaged"):
            load("npz", path=str(tmp_path / "cut.npz"))
        (tmp_path / "bad.npz").write_bytes(raw[:200] + b"\xff" * 20 + raw[220:])
        with pytest.raises(DataError, match=r"bad\.npz: the array 'x_train' is damaged"):
            load("npz", path=str(tmp_path / "bad.npz"))

"""Each form of data: what is read, and what is said about mistakes."""

import gzip
import os

import numpy as np
import pytest

from paddle_automl.core.errors import DataError
from paddle_automl.data.datasets.base import DATASETS
from paddle_automl.data.samples import Samples
from tests.unit.data.pictures import RED, class_folder, plain, save, write_idx


def load(name, **options):
    cls = DATASETS[name]
    return cls(cls.Config.model_validate({"name": name, **options})).load()


class TestDigits:
    def test_content(self):
        samples = load("digits")
        assert samples.images.shape == (1797, 8, 8, 1)
        assert samples.images.max() == 255
        assert samples.class_names == tuple("0123456789")
        assert np.bincount(samples.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
        assert samples.images[0, 0, :, 0].tolist() == [0, 0, 80, 207, 143, 16, 0, 0]  # 0 0 5 13 9 1 0 0 of 16


class TestImageFolder:
    def test_classes_are_sorted_names_and_files_are_sorted(self, flowers):
        samples = load("image_folder", root=str(flowers))
        assert samples.class_names == ("sun flower", "郁金香")
        assert samples.labels.tolist() == [0] * 10 + [1] * 10
        assert list(samples.files) == sorted(samples.files)
        assert samples.files[0] == flowers / "sun flower" / "图 00.png"
        assert samples.parts == {}

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
        assert samples.class_names == ("rose", "sun flower", "郁金香")
        assert np.bincount(samples.labels).tolist() == [3, 10, 11]

    def test_part_folders(self, tmp_path):
        class_folder(tmp_path / "train", {"a": 3, "b": 4})
        class_folder(tmp_path / "val", {"b": 2})
        class_folder(tmp_path / "test", {"a": 1, "b": 1})
        samples = load("image_folder", root=str(tmp_path))
        assert samples.class_names == ("a", "b")
        assert {part: len(rows) for part, rows in samples.parts.items()} == {
            "train": 7,
            "validation": 2,
            "test": 2,
        }
        assert samples.labels[samples.parts["validation"]].tolist() == [1, 1]
        assert all("val" in str(samples.files[row]) for row in samples.parts["validation"])

    def test_a_class_may_be_called_train(self, tmp_path):
        samples = load("image_folder", root=str(class_folder(tmp_path, {"train": 2, "bus": 2})))
        assert samples.class_names == ("bus", "train")
        samples = load("image_folder", root=str(class_folder(tmp_path / "x", {"train": 2, "test": 2})))
        assert samples.class_names == ("test", "train")

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

    def test_mistakes_of_parts(self, tmp_path):
        class_folder(tmp_path / "train", {"a": 1, "b": 1})
        class_folder(tmp_path / "val", {"a": 1, "猫": 1})
        with pytest.raises(DataError, match=r"the classes 猫 of '.*val' have no folder in '.*train'"):
            load("image_folder", root=str(tmp_path))
        class_folder(tmp_path / "validation", {"a": 1})
        with pytest.raises(DataError, match="holds both 'val' and 'validation'"):
            load("image_folder", root=str(tmp_path))


class TestImageList:
    @pytest.fixture
    def root(self, tmp_path):
        for name in ("图 片/a b.png", "图 片/c.png", "d.png", "e.png"):
            save(plain(RED), tmp_path / "images" / name)
        return tmp_path

    def options(self, root, train, **lists):
        files = {"train": train, **lists}
        for name, text in files.items():
            (root / f"{name}.txt").write_text(text, encoding="utf-8")
        return {name: str(root / f"{name}.txt") for name in files} | {"root": str(root / "images")}

    def test_paths_with_spaces_and_number_order(self, root):
        samples = load(
            "image_list", **self.options(root, "图 片/a b.png 10\n图 片/c.png 2\n\nd.png  2\ne.png 10\n")
        )
        assert samples.class_names == ("2", "10")
        assert samples.labels.tolist() == [1, 0, 0, 1]
        assert samples.files[0] == root / "images" / "图 片" / "a b.png"
        assert samples.origins[3] == f"{root}/train.txt:5"
        assert list(samples.parts) == ["train"]

    def test_a_tab_lets_labels_hold_spaces(self, root):
        samples = load("image_list", **self.options(root, "图 片/a b.png\tsun flower\nd.png\t玫瑰\n"))
        assert samples.class_names == ("sun flower", "玫瑰")

    def test_one_map_for_all_lists_and_names_of_the_label_file(self, root):
        options = self.options(
            root,
            "d.png 0\ne.png 1\n图 片/c.png 7\n",
            validation="e.png 7\n",
            test="d.png 1\n",
            label_file="7 red rose\n0 郁金香\n1 tulip\n",
        )
        samples = load("image_list", **options)
        assert samples.class_names == ("郁金香", "tulip", "red rose")
        assert samples.labels.tolist() == [0, 1, 2, 2, 1]
        assert {part: rows.tolist() for part, rows in samples.parts.items()} == {
            "train": [0, 1, 2],
            "validation": [3],
            "test": [4],
        }

    def test_root_defaults_to_the_folder_of_the_list(self, root):
        save(plain(RED), root / "x.png")
        (root / "list.txt").write_text("x.png 0\nimages/d.png 1\n")
        samples = load("image_list", train=str(root / "list.txt"))
        assert all(file.exists() for file in samples.files)

    def test_mistakes_name_file_and_line(self, root):
        with pytest.raises(DataError, match=r"train\.txt:2: must be 'path label', got 'd\.png'"):
            load("image_list", **self.options(root, "e.png 0\nd.png\n"))
        with pytest.raises(
            DataError,
            match=r"validation\.txt:1: the label 'rsoe' is not in .*mean 'rose'\?; valid: lily, rose",
        ):
            load("image_list", **self.options(root, "e.png rose\nd.png lily\n", validation="c.png rsoe\n"))
        with pytest.raises(DataError, match=r"train\.txt:1: the label '5' is not in .*label_file\.txt"):
            load("image_list", **self.options(root, "e.png 5\n", label_file="0 a\n1 b\n"))
        with pytest.raises(DataError, match=r"label_file\.txt:2: the id '0' stands twice"):
            load("image_list", **self.options(root, "e.png 0\n", label_file="0 a\n0 b\n"))
        with pytest.raises(DataError, match=r"label_file\.txt:2: the name 'a' stands twice"):
            load("image_list", **self.options(root, "e.png 0\n", label_file="0 a\n1 a\n"))
        with pytest.raises(DataError, match=r"data\.dataset\.train: the list '.*' holds no images"):
            load("image_list", **self.options(root, "\n"))
        with pytest.raises(DataError, match=r"data\.dataset\.test: the list 'no\.txt' does not exist"):
            load("image_list", **self.options(root, "e.png 0\n") | {"test": "no.txt"})
        with pytest.raises(DataError, match=r"data\.dataset\.root: the folder 'no' does not exist"):
            load("image_list", **self.options(root, "e.png 0\n") | {"root": "no"})

    def test_many_mistakes_are_counted(self, root):
        with pytest.raises(DataError, match="and 15 more lines"):
            load("image_list", **self.options(root, "x\n" * 25))


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
        assert samples.images.shape == (8, 3, 2, 1)
        assert samples.images[1, :, :, 0].tolist() == [[6, 7], [8, 9], [10, 11]]
        assert samples.labels.tolist() == [0, 1, 2, 0, 1, 2, 2, 1]
        assert samples.class_names == ("0", "1", "2")
        assert samples.parts["test"].tolist() == [6, 7]

    def test_without_test_part_and_with_names(self, root):
        samples = load("idx", root=str(root), test_images=None, test_labels=None, class_names=["衣", "裤", "鞋"])
        assert list(samples.parts) == ["train"]
        assert samples.class_names == ("衣", "裤", "鞋")

    def test_mistakes(self, root):
        with pytest.raises(DataError, match="need each other"):
            load("idx", root=str(root), test_images=None)
        with pytest.raises(DataError, match=r"data\.dataset\.train_images: neither '.*no' nor the same with"):
            load("idx", root=str(root), train_images="no")
        with pytest.raises(DataError, match="label 2 at position 2; with 2 class names"):
            load("idx", root=str(root), class_names=["a", "b"])
        write_idx(root / "t10k-labels-idx1-ubyte", np.array([2, 1, 0]))
        with pytest.raises(DataError, match=r"t10k-labels-idx1-ubyte: 3 labels for the 2 images of .*t10k-im"):
            load("idx", root=str(root))

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "is no idx file"),
            (b"\0\0\x0d\x01\0\0\0\0", "is no idx file of uint8 values; it starts with 00 00 0d 01"),
            (b"\0\0\x08\x01\0\0\0\x05ab", r"is cut off or damaged: 10 bytes for an array of shape \[5\]"),
            (b"\0\0\x08\x03\0\0", "is cut off or damaged"),
            (b"\0\0\x08\x00", "is cut off or damaged"),
            (b"\0\0\x08\x04" + b"\xff" * 16, "is cut off or damaged"),
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
        assert samples.class_names == ("3", "5", "9")
        assert samples.labels.tolist() == [0, 1, 2, 0, 1, 2, 2, 0]
        assert (samples.images[6:] == self.arrays()["x_test"]).all()

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
        assert samples.class_names == ("a", "b", "猫")
        assert samples.labels.tolist() == [1, 2, 0, 2]
        assert samples.images.shape == (4, 4, 5, 1)
        assert samples.parts["validation"].tolist() == [3]
        with_names = self.load(
            tmp_path, y_train=np.array([0, 1, 2, 0, 1, 2]), y_test=np.array([2, 0]), class_names=list("xyz")
        )
        assert with_names.class_names == ("x", "y", "z")

    def test_names_order_texts(self, tmp_path):
        texts = np.array(["b", "a", "b", "a", "b", "a"])
        samples = self.load(tmp_path, {"class_names": ["b", "a"]}, y_train=texts, y_test=np.array(["a", "b"]))
        assert samples.labels.tolist() == [0, 1, 0, 1, 0, 1, 1, 0]

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"x_train": None}, "has no array 'x_train'; it holds y_train, x_test, y_test"),
            ({"x_train": None, "y_train": None}, "has no arrays 'x_train' and 'y_train'"),
            ({"x_train": np.zeros((6, 4, 5, 3))}, "x_train: images must be uint8 from 0 to 255, got float64"),
            ({"x_train": np.zeros((6, 3, 4, 5), np.uint8)}, r"with 1, 3 or 4 channels .*got \[6, 3, 4, 5\]"),
            ({"x_test": np.zeros((2, 4, 4, 3), np.uint8)}, r"images of shape \[4, 4, 3\], but .*x_train has"),
            ({"y_train": np.zeros(5, int)}, "y_train: 5 labels for the 6 images of"),
            ({"y_train": np.zeros(6)}, "labels must be .* got float64"),
            ({"y_test": np.array(["a", "b"])}, "some labels are integers and some are texts"),
            ({"y_train": np.array([None] * 6)}, "the array 'y_train' cannot be read: .*allow_pickle"),
            ({"class_names": np.array(["a", "a"])}, "these stand twice: a"),
            ({"class_names": np.array(["a", "b"])}, "y_train: label 3 at position 0; with 2 class names"),
        ],
    )
    def test_mistakes(self, tmp_path, changes, message):
        with pytest.raises(DataError, match=message):
            self.load(tmp_path, **changes)

    def test_texts_that_are_no_class_name(self, tmp_path):
        texts = np.array(["b", "a", "b", "a", "b", "c"])
        with pytest.raises(DataError, match="labels that are no class name: c"):
            self.load(tmp_path, {"class_names": ["b", "a"]}, y_train=texts, y_test=np.array(["a", "b"]))

    def test_wrong_files(self, tmp_path):
        with pytest.raises(DataError, match=r"data\.dataset\.path: the file '.*' does not exist"):
            load("npz", path=str(tmp_path / "no.npz"))
        (tmp_path / "text.npz").write_text("hello")
        with pytest.raises(DataError, match=r"text\.npz: is no NumPy archive"):
            load("npz", path=str(tmp_path / "text.npz"))
        np.save(tmp_path / "single.npy", np.zeros(3))
        with pytest.raises(DataError, match="is a single array"):
            load("npz", path=str(tmp_path / "single.npy"))
        np.savez(tmp_path / "a.npz", **self.arrays())
        raw = (tmp_path / "a.npz").read_bytes()
        (tmp_path / "cut.npz").write_bytes(raw[: len(raw) // 2])
        with pytest.raises(DataError, match=r"cut\.npz: is no NumPy archive, or is damaged"):
            load("npz", path=str(tmp_path / "cut.npz"))
        (tmp_path / "bad.npz").write_bytes(raw[:200] + b"\xff" * 20 + raw[220:])
        with pytest.raises(DataError, match=r"bad\.npz: the array 'x_train' is damaged"):
            load("npz", path=str(tmp_path / "bad.npz"))


def test_samples_check_themselves():
    labels = np.array([0, 1])
    with pytest.raises(DataError, match="either images or files"):
        Samples(labels=labels, class_names=("a", "b"))
    with pytest.raises(DataError, match=r"3 images but labels of shape \[2\]"):
        Samples(labels=labels, class_names=("a", "b"), images=np.zeros((3, 1, 1, 1), np.uint8))
    with pytest.raises(DataError, match="labels must be from 0 to 0"):
        Samples(labels=labels, class_names=("a",), images=np.zeros((2, 1, 1, 1), np.uint8))
    with pytest.raises(DataError, match="must be uint8"):
        Samples(labels=labels, class_names=("a", "b"), images=np.zeros((2, 1, 1)))

"""Lists of images: paths, labels of one class or of several, label files, and mistakes with their lines."""

import pytest

from paddle_automl.core.errors import DataError
from paddle_automl.inputs.image.files import expand
from tests.unit.data.loading import load
from tests.unit.data.pictures import RED, plain, save


@pytest.fixture
def root(tmp_path):
    """A folder with four images in `images`."""
    for name in ("图 片/a b.png", "图 片/c.png", "d.png", "e.png"):
        save(plain(RED), tmp_path / "images" / name)
    return tmp_path


def given(root, train, labels="auto", **lists):
    """Write lists, texts by option, and return the options of the data set."""
    files = {"train": train, **lists}
    for name, text in files.items():
        (root / f"{name}.txt").write_text(text, encoding="utf-8")
    options = {name: str(root / f"{name}.txt") for name in files}
    return {"name": "image_list", **options, "root": str(root / "images"), "labels": labels}


class TestSingle:
    def test_paths_with_spaces_and_number_order(self, root):
        samples = load(**given(root, "图 片/a b.png 10\n图 片/c.png 2\n\nd.png  2\ne.png 10\n"))
        assert samples.targets.names == ("2", "10")
        assert samples.targets.values.tolist() == [1, 0, 0, 1]
        assert samples.sources[0] == root / "images" / "图 片" / "a b.png"
        assert samples.origins[3] == f"{root}/train.txt:5"
        assert list(samples.splits) == ["train"]

    def test_a_tab_lets_labels_hold_spaces(self, root):
        samples = load(**given(root, "图 片/a b.png\tsun flower\nd.png\t玫瑰\n"))
        assert samples.targets.names == ("sun flower", "玫瑰")

    def test_one_map_for_all_lists_and_names_of_the_label_file(self, root):
        options = given(
            root,
            "d.png 0\ne.png 1\n图 片/c.png 7\n",
            validation="图 片/a b.png 7\n",
            test="x.png 1\n",
            label_file="7 red rose\n0 郁金香\n1 tulip\n",
        )
        samples = load(**options)
        assert samples.targets.names == ("郁金香", "tulip", "red rose")
        assert samples.targets.values.tolist() == [0, 1, 2, 2, 1]
        assert {part: rows.tolist() for part, rows in samples.splits.items()} == {
            "train": [0, 1, 2],
            "validation": [3],
            "test": [4],
        }

    def test_root_defaults_to_the_folder_of_the_list(self, root):
        save(plain(RED), root / "x.png")
        (root / "list.txt").write_text("x.png 0\nimages/d.png 1\n")
        samples = load("image_list", train=str(root / "list.txt"))
        assert all(file.exists() for file in samples.sources)

    def test_mistakes_name_file_and_line(self, root):
        with pytest.raises(DataError, match=r"train\.txt:2: must be 'path label', got 'd\.png'"):
            load(**given(root, "e.png 0\nd.png\n"))
        with pytest.raises(
            DataError,
            match=r"validation\.txt:1: the label 'rsoe' is not in .*mean 'rose'\?; valid: lily, rose",
        ):
            load(**given(root, "e.png rose\nd.png lily\n", validation="c.png rsoe\n"))
        with pytest.raises(DataError, match=r"train\.txt:1: the label '5' is not in .*label_file\.txt"):
            load(**given(root, "e.png 5\n", label_file="0 a\n1 b\n"))
        with pytest.raises(DataError, match=r"label_file\.txt:2: the id '0' is given twice"):
            load(**given(root, "e.png 0\n", label_file="0 a\n0 b\n"))
        with pytest.raises(DataError, match=r"label_file\.txt:2: the name 'a' is given twice"):
            load(**given(root, "e.png 0\n", label_file="0 a\n1 a\n"))
        with pytest.raises(DataError, match=r"data\.dataset\.train: the list '.*' holds no images"):
            load(**given(root, "\n"))
        with pytest.raises(DataError, match=r"data\.dataset\.test: the list 'no\.txt' does not exist"):
            load(**given(root, "e.png 0\n") | {"test": "no.txt"})
        with pytest.raises(DataError, match=r"data\.dataset\.root: the folder 'no' does not exist"):
            load(**given(root, "e.png 0\n") | {"root": "no"})

    def test_many_mistakes_are_counted(self, root):
        with pytest.raises(DataError, match="and 15 more lines"):
            load(**given(root, "x\n" * 25))


class TestSeveral:
    def test_labels_with_commas(self, root, caplog):
        samples = load(**given(root, "d.png cat,dog\ne.png dog\n图 片/a b.png\tsun flower, cat\n"))
        assert samples.targets.kind == "labels"
        assert samples.targets.names == ("cat", "dog", "sun flower")
        assert samples.targets.values.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 1]]
        assert "read as several labels per image" in caplog.text

    def test_stated_and_without_a_label(self, root):
        samples = load(**given(root, "d.png\t\ne.png\tdog\n图 片/c.png\t10,9\n", labels="several"))
        assert samples.targets.names == ("10", "9", "dog")
        assert samples.targets.values.tolist() == [[0, 0, 0], [0, 0, 1], [1, 1, 0]]
        with pytest.raises(DataError, match=r"train\.txt:1: must be 'path label', got no label"):
            load(**given(root, "d.png\t\ne.png\tdog\n", labels="single"))

    def test_names_of_a_label_file(self, root):
        samples = load(
            **given(root, "d.png 0,2\ne.png 1\n", validation="d.png 2,0\n", label_file="0 a\n1 b\n2 c c\n")
        )
        assert samples.targets.names == ("a", "b", "c c")
        assert samples.targets.values.tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
        with pytest.raises(DataError, match=r"train\.txt:1: the label '7' is not in .*label_file\.txt"):
            load(**given(root, "d.png 0,7\n", label_file="0 a\n1 b\n"))

    def test_a_comma_may_be_part_of_a_name(self, root):
        text = "d.png\tBoston, MA\ne.png\tAustin, TX\n"
        assert load(**given(root, text, labels="single")).targets.names == ("Austin, TX", "Boston, MA")
        named = load(**given(root, "d.png 1,5\ne.png 2\n", label_file="1,5 thin\n2 thick\n"))
        assert named.targets.kind == "classes"

    def test_flags(self, root):
        """A 0 or 1 for each label, as PaddleClas has them for several labels."""
        samples = load(**given(root, "d.png\t0,1,0\ne.png\t1,1,0\n", label_file="0 cat\n1 dog\n2 bird\n"))
        assert samples.targets.names == ("cat", "dog", "bird")
        assert samples.targets.values.tolist() == [[0, 1, 0], [1, 1, 0]]
        without = load(**given(root, "d.png 0,1,0\ne.png 0,0,0\n"))
        assert without.targets.names == ("0", "1", "2")
        assert without.targets.values.tolist() == [[0, 1, 0], [0, 0, 0]]

    def test_two_flags_or_two_names(self, root):
        assert load(**given(root, "d.png 0,1\ne.png 1,1\n")).targets.values.tolist() == [[0, 1], [1, 1]]
        assert load(**given(root, "d.png 0,1\ne.png 1,0\n")).targets.values.tolist() == [[1, 1], [1, 1]]
        assert load(**given(root, "d.png 0,1\ne.png 1,0\n", labels="flags")).targets.values.tolist() == [
            [0, 1],
            [1, 0],
        ]

    def test_mistakes_of_flags(self, root):
        with pytest.raises(DataError, match=r"train\.txt:2: must be 0 or 1 for each label, got 'x'"):
            load(**given(root, "d.png 0,1\ne.png 1,x\n", labels="flags"))
        with pytest.raises(DataError, match=r"train\.txt:2: 3 flags, but the first line has 2"):
            load(**given(root, "d.png 0,1\ne.png 1,0,0\n", labels="flags"))
        with pytest.raises(DataError, match=r"train\.txt:1: 2 flags, but .*label_file\.txt has 3 names"):
            load(**given(root, "d.png 0,1\n", labels="flags", label_file="0 a\n1 b\n2 c\n"))


class TestListsOfOtherTools:
    def test_backslashes(self, root):
        samples = load(**given(root, "图 片\\c.png 1\n.\\d.png 0\n"))
        assert [file.name for file in samples.sources] == ["c.png", "d.png"]
        assert all(file.is_file() for file in samples.sources)

    def test_a_backslash_in_a_name_is_kept(self, root):
        save(plain(RED), root / "images" / "x\\y.png")
        samples = load(**given(root, "x\\y.png 1\nd.png 0\n"))
        assert samples.sources[0].name == "x\\y.png"

    @pytest.mark.parametrize("text", ["0: cat\n1: sun flower\n", "0:cat\n1:sun flower\n", "0, cat\n1,sun flower\n"])
    def test_marks_after_the_id_of_a_label_file(self, root, text):
        samples = load(**given(root, "d.png 1\ne.png 0\n", label_file=text))
        assert samples.targets.names == ("cat", "sun flower")

    def test_ids_that_are_no_numbers(self, root):
        samples = load(**given(root, "d.png n02\ne.png n01\n", label_file="n01: cat\nn02: boeing 747\n"))
        assert samples.targets.names == ("cat", "boeing 747")

    @pytest.mark.parametrize(
        "text", ["cat 0\nsun flower 1\n", "cat 1\ndog 2\n", "cat,0\ndog,1\n", "cat: 1\nd: 2\n"]
    )
    def test_a_label_file_the_other_way_round(self, root, text):
        with pytest.raises(DataError, match=r"label_file\.txt: the id comes first in each line, as in '\d cat'"):
            load(**given(root, "d.png 1\ne.png 2\n", label_file=text))

    def test_a_list_the_other_way_round(self, root):
        with pytest.raises(DataError, match=r"train\.txt:1: the path comes first in each line"):
            load(**given(root, "1 d.png\n2 e.png\n"))

    def test_a_table_is_no_list(self, root):
        with pytest.raises(
            DataError, match=r"got 'd\.png,1'; for tables with commas take the data set image_table"
        ):
            load(**given(root, "d.png,1\ne.png,2\n"))

    def test_names_composed_in_the_list_and_decomposed_on_the_disk(self, root):
        save(plain(RED), root / "images" / "cafe\u0301" / "u\u0308ber.png")
        save(plain(RED), root / "images" / "caf\u00e9s" / "x.png")
        samples = load(**given(root, "caf\u00e9/\u00fcber.png 1\ncafe\u0301s/x.png 0\n"))
        assert all(file.is_file() for file in samples.sources)

    def test_labels_of_two_unicode_forms_are_one(self, root):
        samples = load(**given(root, "d.png caf\u00e9\ne.png tea\n", validation="d.png cafe\u0301\n"))
        assert samples.targets.names == ("caf\u00e9", "tea")


class TestTwice:
    def test_two_labels_for_one_file_in_one_list(self, root):
        with pytest.raises(DataError, match=r"train\.txt:3: 'd\.png' has the label '2', but '1' in .*train\.txt:1"):
            load(**given(root, "d.png 1\ne.png 2\nd.png 2\n"))

    @pytest.mark.parametrize(
        "other", ["./d.png", "图 片/../d.png", "../images/d.png", "..\\images\\d.png", "/d.png"]
    )
    def test_two_labels_for_one_file_by_other_paths(self, root, other):
        path = str(root / "images" / "d.png") if other.startswith("/") else other
        with pytest.raises(DataError, match=r"train\.txt:3: .* has the label '2', but '1' in .*train\.txt:1"):
            load(**given(root, f"d.png 1\ne.png 2\n{path} 2\n"))

    def test_two_labels_for_one_file_in_two_lists(self, root):
        with pytest.raises(
            DataError, match=r"validation\.txt:1: 'd\.png' has the label '2', but '1' in .*train\.txt:1"
        ):
            load(**given(root, "d.png 1\ne.png 2\n", validation="d.png 2\n"))

    def test_the_same_label_twice_is_no_mistake(self, root):
        assert len(load(**given(root, "d.png 1\ne.png 2\nd.png 1\n"))) == 3
        assert len(load(**given(root, "d.png a,b\ne.png b\nd.png b,a\n"))) == 3


class TestHugeNames:
    """A name that no file system takes is the name of a missing file, and is not repeated at full length."""

    @pytest.mark.parametrize("name", ["x" * 300 + ".png", "a\\" + "y" * 5000, "/".join(["d"] * 5000)])
    def test_in_a_list(self, root, name):
        options = given(root, f"d.png 1\ne.png 2\n{name} 2\n")
        assert len(load(**options).sources) == 3
        with pytest.raises(DataError, match=r"train\.txt:3: ") as caught:
            load(**given(root, f"d.png 1\ne.png 2\n{name}\n"))
        assert len(str(caught.value)) < 1000

    def test_in_options_and_for_prediction(self, root):
        long = str(root / ("x" * 300))
        for options in (given(root, "d.png 1\n") | {"root": long}, given(root, "d.png 1\n") | {"train": long}):
            with pytest.raises(DataError, match="does not exist"):
                load(**options)
        for name in ("image_folder", "idx"):
            with pytest.raises(DataError, match="exist"):
                load(name, root=long)
        with pytest.raises(DataError, match="does not exist"):
            load("npz", path=f"{long}.npz")
        assert [file.name for file in expand([f"{long}.png"])] == ["x" * 300 + ".png"]

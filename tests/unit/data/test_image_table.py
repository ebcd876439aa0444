"""Tables of images: columns of classes, labels and numbers, splits, groups, and mistakes with their rows."""

import numpy as np
import pytest

from paddle_automl.core.errors import ConfigError, DataError
from paddle_automl.core.loading import validate
from paddle_automl.data.config import DataConfig
from paddle_automl.data.prepare import prepare
from paddle_automl.data.tables import read_table
from tests.unit.data.loading import load
from tests.unit.data.pictures import class_folder

TABLE = """path,species,wild,striped,weight,tags,patient,part
图 00.png,cat,0,1,4.5,small;soft,p1,train
图 01.png,tiger,1,1,180,large,p2,train
图 02.png,"cat, domestic",0,0,-3e0,,p1,val
"""


@pytest.fixture
def table(tmp_path):
    """Return a function that writes a table beside three images and gives options of the data set."""
    class_folder(tmp_path, {"images": 3})

    def make(text=TABLE, name="表 1.csv", **options):
        (tmp_path / "images" / name).write_bytes(text.encode("utf-8") if isinstance(text, str) else text)
        return {"name": "image_table", "file": str(tmp_path / "images" / name), **options}

    return make


class TestTargets:
    def test_a_class_each(self, table):
        samples = load(**table(labels="species"))
        assert samples.targets.kind == "classes"
        assert samples.targets.names == ("cat", "cat, domestic", "tiger")
        assert samples.targets.values.tolist() == [0, 2, 1]
        assert [file.name for file in samples.sources] == ["图 00.png", "图 01.png", "图 02.png"]
        assert samples.origins[2].endswith("表 1.csv:4")
        assert set(samples.columns) == {"wild", "striped", "weight", "tags", "patient", "part"}

    def test_a_column_per_label(self, table):
        samples = load(**table(labels=["striped", "wild"]))
        assert samples.targets.kind == "labels"
        assert samples.targets.names == ("striped", "wild")
        assert samples.targets.values.tolist() == [[1, 0], [1, 1], [0, 0]]
        assert samples.targets.values.dtype == np.uint8

    def test_a_column_of_lists(self, table):
        samples = load(**table(labels="tags", separator=";"))
        assert samples.targets.names == ("large", "small", "soft")
        assert samples.targets.values.tolist() == [[0, 1, 1], [1, 0, 0], [0, 0, 0]]

    def test_numbers(self, table):
        samples = load(**table(targets=["weight", "wild"]))
        assert samples.targets.kind == "numbers"
        assert samples.targets.names == ("weight", "wild")
        assert samples.targets.values.tolist() == [[4.5, 0], [180, 1], [-3, 0]]

    def test_classes_that_are_numbers_are_in_order(self, table):
        text = "path,k\n图 00.png,10\n图 01.png,9\n图 02.png,1\n"
        assert load(**table(text, labels="k")).targets.names == ("1", "9", "10")


class TestTable:
    @pytest.mark.parametrize(("name", "mark"), [("a.tsv", "\t"), ("a.csv", ";"), ("a.txt", "|"), ("a.csv", "\t")])
    def test_delimiters(self, table, name, mark):
        text = f"path{mark}k\n图 00.png{mark}a,b\n图 01.png{mark} c \n\n"
        assert load(**table(text, name, labels="k")).targets.names == ("a,b", "c")

    @pytest.mark.parametrize("encoding", ["utf-8-sig", "gbk", "utf-16"])
    def test_encodings(self, table, encoding):
        text = "path,类\r\n图 00.png,猫\r\n图 01.png,狗\r\n"
        assert set(load(**table(text.encode(encoding), labels="类")).targets.names) == {"猫", "狗"}

    def test_other_folder_and_column_of_paths(self, table, tmp_path):
        options = table("file,k\nimages\\图 00.png,a\nimages/图 01.png,b\n", labels="k", path="file")
        samples = load(**options, root=str(tmp_path))
        assert all(file.is_file() for file in samples.sources)

    def test_given_splits(self, table):
        samples = load(**table(labels=["wild", "striped"], split="part"))
        assert {name: rows.tolist() for name, rows in samples.splits.items()} == {
            "train": [0, 1],
            "validation": [2],
        }

    def test_classes_are_those_of_the_training_rows(self, table):
        with pytest.raises(DataError, match=r":4: the label 'cat, domestic' is not in the training rows of"):
            load(**table(labels="species", split="part"))

    def test_quoted_lines_keep_their_numbers(self, table):
        text = 'path,note,k\n图 00.png,"two\nlines",a\n图 01.png,x,\n'
        with pytest.raises(DataError, match=r"表 1\.csv:4: the column 'k' is empty"):
            load(**table(text, labels="k"))


class TestMistakes:
    @pytest.mark.parametrize(
        ("options", "message"),
        [
            (
                {"labels": "specis"},
                r"dataset\.labels: the table .* has no column 'specis'; did you mean 'species'",
            ),
            ({"labels": ["wild", "wlid"]}, r"has no column 'wlid'; did you mean 'wild'\?; columns: path, species"),
            ({"targets": ["wieght"]}, r"dataset\.targets: .* did you mean 'weight'"),
            ({"labels": "species", "path": "file"}, r"dataset\.path: .* has no column 'file'"),
            ({"labels": "species", "split": "parts"}, r"dataset\.split: .* did you mean 'part'"),
            (
                {"labels": "species", "split": "patient"},
                r":2: .*'patient' must be train, val or test, got 'p1'",
            ),
            ({"labels": ["wild", "species"]}, r"表 1\.csv:2: the column 'species' must be 0 or 1, got 'cat'"),
            ({"targets": ["species"]}, r"表 1\.csv:2: the column 'species' must be a finite number, got 'cat'"),
            ({"labels": "tags"}, r"表 1\.csv:4: the column 'tags' is empty; every image needs a class"),
            ({"targets": ["tags"]}, r"表 1\.csv:4: the column 'tags' must be a finite number, got an empty cell"),
            ({"labels": "species", "root": "/no"}, r"dataset\.root: the folder '/no' does not exist"),
        ],
    )
    def test_columns(self, table, options, message):
        with pytest.raises(DataError, match=message):
            load(**table(**options))

    @pytest.mark.parametrize("value", ["nan", "inf", "-inf", "NaN", "1e999", "3,5,1"])
    def test_numbers_that_are_none(self, table, value):
        text = f"path;y\n图 00.png;1\n图 01.png;{value}\n"
        with pytest.raises(DataError, match=rf"表 1\.csv:3: the column 'y' must be a finite number, got '{value}'"):
            load(**table(text, targets=["y"]))

    def test_decimal_commas_are_told_once(self, table):
        text = "path;y\n图 00.png;1\n图 01.png;-3,5\n图 02.png;0,25\n图 03.png;ink\n"
        with pytest.raises(DataError, match=r"2 rows of the column 'y' have a decimal comma") as told:
            load(**table(text, targets=["y"]))
        assert "such as '-3,5', which is not read; write -3.5, with a point" in str(told.value)
        assert str(told.value).count("\n") == 1

    @pytest.mark.parametrize(
        ("cells", "message"),
        [
            (("1,234", "12,500"), "a comma, such as '1,234', which is not read; write 1234 if it stands between "
             "thousands, or 1.234 if decimals follow it"),
            (("1,234", "1,234,567"), "commas between thousands, such as '1,234,567', .* write 1234567"),
            (("1,234", "-12,500.75"), "commas between thousands, such as '-12,500.75', .* write -12500.75"),
            (("1,234", "0,250"), "a decimal comma, such as '0,250', which is not read; write 0.250, with a point"),
            (("1,234,567", "0,25"), "commas, such as '1,234,567' and '0,25'; write none, and a point"),
        ],
    )  # fmt: skip
    def test_commas_between_thousands_are_not_taken_for_decimal_ones(self, table, cells, message):
        text = f"path;y\n图 00.png;{cells[0]}\n图 01.png;{cells[1]}\n图 02.png;7\n"
        with pytest.raises(DataError, match=f"2 rows of the column 'y' have {message}"):
            load(**table(text, targets=["y"]))

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", r"data\.dataset\.file: the table '.*' is empty"),
            ("path,k,k\n", "has duplicate columns: 'k'"),
            ("path,,k\n", "column 2 of the table '.*' has no name"),
            (",path,k,\n0,图 00.png,1,x\n", "column 4 of the table '.*' has no name"),
            ("path,,k,\n图 00.png,,1,x\n", "column 4 of the table '.*' has no name"),
            ("path,k\na.png,1,2\nb.png\n", r":2: 3 values for 2 columns\n  .*:3: 1 values for 2 columns"),
            ('path,k\n"a.png,1\n', r":\d: is not a row of a table: unexpected end of data"),
            ("path,k\n,1\n", "the column 'path' is empty"),
            (
                "path,k\n图 00.png,1\n图 00.png,2\n",
                r":3: '.*00\.png' has another target in .*:2; an image",
            ),
            (
                "path,k\n图 00.png,1\n../images/图 00.png,2\n",
                r":3: '.*00\.png' has another target in .*:2; an image",
            ),
            ('path,k\n"' + "x" * 200_000 + '",1\n', r":2: is not a row of a table: field larger than"),
            ("path,k\na.png,1\n".encode("utf-16-le"), "column|not a text file"),
            (b"path,k\ncaf\xe9.png,1\n\xff\xff,2\n", "is not a text file in UTF-8 or GBK"),
        ],
    )
    def test_tables(self, table, text, message):
        with pytest.raises(DataError, match=message):
            load(**table(text, labels="k"))

    @pytest.mark.parametrize(
        "text",
        [
            ",path,k\n0,图 00.png,1\n1,图 01.png,2\n",
            "path,k,\n图 00.png,1,\n图 01.png,2,\n",
            "path,k,,\n图 00.png,1,,\n图 01.png,2,,\n",
        ],
    )
    def test_numbers_of_rows_and_empty_columns_need_no_name(self, table, text):
        found = load(**table(text, labels="k"))
        assert [source.name for source in found.sources] == ["图 00.png", "图 01.png"]
        assert found.targets.names == ("1", "2")

    def test_no_table(self, tmp_path):
        with pytest.raises(DataError, match=r"data\.dataset\.file: the table '.*no\.csv' does not exist"):
            load("image_table", file=str(tmp_path / "no.csv"), labels="k")
        with pytest.raises(DataError, match="does not exist"):
            read_table(tmp_path, "x")

    def test_no_rows(self, table, configure):
        with pytest.raises(DataError, match="the data set holds no images"):
            prepare(configure(table("path,k\n", labels="k")), seed=0)

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({}, "needs either labels .* or targets"),
            ({"labels": "a", "targets": ["b"]}, "labels and targets are both given; .* data.dataset.labels=null"),
            ({"targets": ["b"], "separator": ";"}, "separator: needs labels to be"),
            ({"labels": ["a"]}, "labels: .*at least 2 items"),
            ({"targets": []}, "targets: .*at least 1 item"),
        ],
    )
    def test_options(self, options, message):
        with pytest.raises(ConfigError, match=message):
            validate(DataConfig, {"dataset": {"name": "image_table", "file": "x.csv", **options}})


class TestPrepared:
    @pytest.fixture
    def herd(self, tmp_path):
        """A table of 60 images of 20 animals, three of each."""
        class_folder(tmp_path, {"images": 60})
        rows = [
            f"图 {n:02d}.png,{'ab'[n // 3 % 2]},{n % 2},{n % 3 // 2},{n / 7},animal {n // 3}" for n in range(60)
        ]
        (tmp_path / "images" / "t.csv").write_text("\n".join(["path,k,u,v,y,animal", *rows]), encoding="utf-8")
        return {"name": "image_table", "file": str(tmp_path / "images" / "t.csv")}

    @pytest.mark.parametrize("targets", [{"labels": "k"}, {"labels": ["u", "v"]}, {"targets": ["y"]}])
    @pytest.mark.parametrize("group", ["animal", None])
    def test_groups_stay_together(self, herd, configure, targets, group):
        data = prepare(configure({**herd, **targets}, size=8, group=group), seed=0)
        parts = (data.train, data.validation, data.test)
        animals = [{int(file.name[2:4]) // 3 for file in part.sources} for part in parts]
        assert sum(len(part) for part in parts) == 60
        assert (sum(map(len, animals)) == 20) == (group is not None)
        batch = next(data.train.batches(4))
        assert batch.targets.shape == (4, data.task.outputs)
        assert batch.targets.dtype == np.float32

    def test_a_pattern_over_names(self, herd, configure):
        data = prepare(configure({**herd, "labels": "k"}, size=8, group="^图 ([0-9])[0-9]"), seed=0)
        tens = [{file.name[2] for file in part.sources} for part in (data.train, data.validation, data.test)]
        assert sorted(ten for part in tens for ten in part) == list("012345")

    def test_folds(self, herd, configure):
        parts = [
            prepare(configure({**herd, "targets": ["y"]}, size=8, group="animal", folds=3, fold=fold), seed=0)
            for fold in range(3)
        ]
        validated = [file for part in parts for file in part.validation.sources]
        assert len(set(validated)) == len(validated) == 60 - len(parts[0].test)
        whole = prepare(configure({**herd, "targets": ["y"]}, size=8, group="animal", folds=3), seed=0)
        assert whole.test.sources == parts[0].test.sources == parts[2].test.sources

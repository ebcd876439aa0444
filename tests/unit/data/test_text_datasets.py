"""Data sets of texts: encodings, forms of tables, mistakes in them."""

import csv
import json

import numpy as np
import pytest

from paddle_automl.core.errors import DataError
from paddle_automl.data import splitting
from paddle_automl.data.config import DataConfig, absolute
from paddle_automl.data.datasets.base import DATASETS
from paddle_automl.data.facts import find_facts
from paddle_automl.data.items import contents_of
from paddle_automl.data.prepare import prepare
from paddle_automl.data.stores import copies_of
from paddle_automl.inputs.base import INPUTS
from paddle_automl.inputs.text.decoding import decoded
from paddle_automl.inputs.text.files import TextReader, find_texts

ROWS = [("房间很干净", "好"), ("太吵了", "差"), ("早餐不错", "好"), ("服务很差", "差")] * 3


def load(name, **options):
    cls = DATASETS[name]
    return cls(cls.Config.model_validate({"name": name, **options})).load()


def table(path, rows=ROWS, header=("review", "label"), encoding="utf-8", **options):
    with open(path, "w", encoding=encoding, newline="") as file:
        writer = csv.writer(file, **options)
        writer.writerow(header)
        writer.writerows(rows)
    return path


def load_table(path, **options):
    return load("text_table", **{"file": str(path), "text": "review", "label": "label", **options})


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16", "big5hkscs"])
def test_the_encoding_is_found_and_told(tmp_path, encoding, caplog):
    caplog.set_level("INFO")
    rows = (
        [("這個房間很乾淨，早餐也不錯", "好"), ("服務很差，太吵了", "差")] * 20 if encoding == "big5hkscs" else ROWS
    )
    samples = load_table(table(tmp_path / "a.csv", rows, encoding=encoding))
    assert list(samples.items[:2]) == [rows[0][0], rows[1][0]]
    assert samples.targets.names == ("好", "差")
    assert (encoding in caplog.text) == (encoding != "utf-8")


def test_a_stated_encoding_decides(tmp_path):
    path = table(tmp_path / "a.csv", [("caf\u00e9", "x"), ("th\u00e9", "y")], encoding="cp1252")
    assert load_table(path, encoding="cp1252").items[0] == "caf\u00e9"
    with pytest.raises(DataError, match=r"a\.csv:2: byte \d+ is not utf-8"):
        load_table(path, encoding="utf-8")
    with pytest.raises(DataError, match="unknown encoding 'utf-88'"):
        load_table(path, encoding="utf-88")


@pytest.mark.parametrize(
    ("encoding", "stated"),
    [
        ("utf-8-sig", "utf-8"),
        ("utf-8-sig", "utf-8-sig"),
        ("utf-16", "utf-16"),
        ("utf-16-le", None),
        ("utf-16-be", None),
        ("utf-16-le", "utf-16-le"),
    ],
)
def test_marks_and_wide_texts_are_read_in_every_form(tmp_path, encoding, stated):
    rows = [("good movie", "a"), ("bad movie", "b")] * 3
    given = {} if stated is None else {"encoding": stated}
    samples = load_table(table(tmp_path / "a.csv", rows, encoding=encoding), **given)
    assert list(samples.items[:2]) == ["good movie", "bad movie"]
    (tmp_path / "a.txt").write_text("a\tgood movie\nb\tbad movie\n", encoding)
    listed = load("text_list", train=str(tmp_path / "a.txt"), order="label_text", **given)
    assert listed.targets.names == ("a", "b")
    for name in "ab":
        (tmp_path / "files" / name).mkdir(parents=True)
        (tmp_path / "files" / name / "1.txt").write_text(f"good {name}", encoding)
    assert list(load("text_folder", root=str(tmp_path / "files")).items) == ["good a", "good b"]
    (found,) = find_texts([str(tmp_path / "files" / "a" / "1.txt")])
    assert TextReader()(found).item() == "good a"


def test_a_mark_is_no_text_and_single_nuls_make_no_text_wide():
    marked = "\ufeffgood".encode("utf-16-le")
    assert decoded(marked, "a", "utf-16-le") == ("good", "utf-16-le")
    assert decoded(b"text" + b"\0" * 40, "a")[1] == "utf-8"
    assert decoded(b"a\0b and more text", "a") == ("a\0b and more text", "utf-8")


def test_mixed_encodings_are_refused_with_the_line(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("review,label\n很好,x\n".encode() + b"\xff\xff\x80\x81\xfe\n" + "太吵,y\n".encode("gb18030"))
    with pytest.raises(DataError, match="line 3 is not UTF-8"):
        load_table(path)


def test_tables_as_excel_writes_them(tmp_path):
    rows = [('说"好"的，\n两行', "a;b"), ("普通", "c")] * 3
    path = table(tmp_path / "a.csv", rows, encoding="utf-8-sig", delimiter=";", lineterminator="\r\n")
    samples = load_table(path)
    assert samples.items[0] == '说"好"的，\n两行'
    assert samples.targets.names == ("a;b", "c")
    text = path.read_text("utf-8-sig")
    path.write_text(f"sep=;\r\n{text}", "utf-8-sig")
    assert list(load_table(path).items) == list(samples.items)
    tabs = table(tmp_path / "unicode text.tsv", rows, encoding="utf-16", delimiter="\t")
    assert list(load_table(tabs).items) == list(samples.items)


@pytest.mark.parametrize(
    "texts",
    [
        ['"so" they said', "plain", "x", 'a "b"'],
        ['"open', "plain", "x", "y"],
        ['"open', "plain", 'closed"', "y"],
        ['"', "plain", '"', '"all"'],
    ],
)
def test_quotes_in_lines_with_tabs_may_be_parts_of_texts(tmp_path, caplog, texts):
    (tmp_path / "a.tsv").write_text("text\tk\n" + "".join(f"{text}\t1\n" for text in texts), "utf-8")
    found = load("text_table", file=str(tmp_path / "a.tsv"), text="text", label="k")
    assert list(found.items) == texts
    assert [place.rpartition(":")[2] for place in found.origins] == ["2", "3", "4", "5"]
    assert "quotation marks are not closed in their lines" in caplog.text


@pytest.mark.parametrize("cell", ['"two ""quotes"""', '"a\tb"', '"two\nlines"', '"all"'])
def test_quoted_cells_in_lines_with_tabs(tmp_path, caplog, cell):
    (tmp_path / "a.tsv").write_text(f"text\tk\n{cell}\t1\nplain\t1\n", "utf-8")
    found = load("text_table", file=str(tmp_path / "a.tsv"), text="text", label="k")
    assert list(found.items) == [cell[1:-1].replace('""', '"'), "plain"]
    assert "quotation" not in caplog.text


def test_a_line_of_empty_quoted_cells_is_blank(tmp_path, caplog):
    (tmp_path / "a.tsv").write_text('text\tk\n"one"\t1\n""\t""\n"two"\t1\n', "utf-8")
    found = load("text_table", file=str(tmp_path / "a.tsv"), text="text", label="k")
    assert list(found.items) == ["one", "two"]
    assert "quotation" not in caplog.text


def test_json_lines(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(json.dumps({"review": text, "label": 1 if label == "好" else 0, "more": None},
                                         ensure_ascii=False) for text, label in ROWS), "utf-8")  # fmt: skip
    samples = load_table(path)
    assert samples.items[1] == "太吵了"
    assert samples.targets.names == ("0", "1")
    path.write_text('{"review": "a", "label": "x"}\n{"review": ["b"], "label": "y"}\n{', "utf-8")
    with pytest.raises(DataError, match=r"a\.jsonl:2: must be an object of texts and numbers"):
        load_table(path)
    path.write_text("review,label\na,b\n", "utf-8")
    with pytest.raises(DataError, match="is not a file of JSON lines"):
        load_table(path)


def test_json_lines_with_what_only_json_can_hold(tmp_path, caplog):
    path = tmp_path / "a.jsonl"
    lines = [
        '{"review": "cut \\ud83d", "label": "cafe\\u0301"}',
        '{"review": "a\\u0000b \\ud83d\\ude00", "label": "x"}',
    ]
    path.write_text("\n".join(lines * 8), "utf-8")
    samples = load_table(path)
    assert list(samples.items[:2]) == ["cut \ufffd", "a b \U0001f600"]
    assert samples.targets.names == ("caf\u00e9", "x")
    assert "8 NUL characters are read as spaces" in caplog.text
    assert "8 halves of characters (lone surrogates) are read as U+FFFD" in caplog.text
    given = {"name": "text_table", "file": str(path), "text": "review", "label": "label"}
    for options in ({}, {"tokens": "trained"}, {"chinese": "simplified", "tokens": "words"}):
        data = prepare(DataConfig.model_validate({"dataset": given, "input": options}), seed=0)
        assert len(data.train) > 0
        read = data.input.read("cut \ud83d")
        assert read.item() == "cut \ufffd"
        assert all(len(array) == 1 for array in data.input.batch(read[None]).values())
    path.write_text('{"review": "a", "label": "x", "caf\\u00e9": 1, "cafe\\u0301": 2}', "utf-8")
    with pytest.raises(DataError, match=r"a\.jsonl:1: two of its keys look the same"):
        load_table(path)


def test_texts_in_memory_are_read_as_files_are():
    halves = np.array(["cut \ud83d", "whole"], dtype=object)
    assert contents_of(halves)[0] != contents_of(halves)[1]
    assert not copies_of(halves)
    reader = INPUTS["text"].reader(INPUTS["text"].Config(name="text"), sources=None, items=halves)
    assert list(reader.convert(halves)) == ["cut \ufffd", "whole"]


def test_several_columns_of_texts_are_joined(tmp_path):
    rows = [("题", "正文", "x"), ("", "只有正文", "y")] * 3
    path = table(tmp_path / "a.csv", rows, header=("title", "body", "label"))
    samples = load_table(path, text=["title", "body"])
    assert list(samples.items[:2]) == ["题 | 正文", "只有正文"]


def test_given_splits_labels_and_numbers(tmp_path):
    train, dev = table(tmp_path / "a.csv"), table(tmp_path / "b.csv", ROWS[:2])
    samples = load_table(train, validation=str(dev))
    assert {name: len(rows) for name, rows in samples.splits.items()} == {"train": 12, "validation": 2}
    assert samples.place(13).endswith("b.csv:3")
    rows = [(f"第{number}条", "甲;乙" if number % 2 else "", number / 2) for number in range(6)]
    path = table(tmp_path / "c.csv", rows, header=("review", "label", "stars"))
    several = load_table(path, separator=";")
    assert several.targets.kind == "labels"
    assert several.targets.values.sum() == 6
    numbers = load("text_table", file=str(path), text="review", targets=["stars"])
    assert numbers.targets.kind == "numbers"
    assert numbers.targets.values[:, 0].tolist() == [0, 0.5, 1, 1.5, 2, 2.5]


def test_groups_stay_together_and_copies_are_told(tmp_path, caplog):
    rows = [(f"评论{number // 2}", "ab"[number // 2 % 2], f"p{number // 4}") for number in range(48)]
    path = table(tmp_path / "a.csv", rows, header=("review", "label", "person"))
    config = {"dataset": {"name": "text_table", "file": str(path), "text": "review", "label": "label"}}
    data = prepare(DataConfig.model_validate({**config, "group": "person"}), seed=0)
    people = [{int(row) // 4 for row in split.indices} for split in (data.train, data.validation, data.test)]
    assert not people[0] & people[1]
    assert not people[0] & people[2]
    assert "24 texts of 48 with the same content as another one" in caplog.text
    dev = table(tmp_path / "b.csv", rows[:4], header=("review", "label", "person"))
    given = {**config["dataset"], "validation": str(dev)}
    prepare(DataConfig.model_validate({"dataset": given}), seed=0)
    assert "2 texts of the validation split are also in the training split" in caplog.text


def test_mistakes_in_tables_name_place_and_remedy(tmp_path):
    path = table(tmp_path / "a.csv")
    with pytest.raises(DataError, match=r"has no column 'reveiw'; did you mean 'review'\?"):
        load_table(path, text="reveiw")
    with pytest.raises(DataError, match=r"has no column 'lable'; did you mean 'label'\?"):
        load_table(path, label="lable")
    numbers = table(tmp_path / "n.csv", [(7, "x"), (8.5, "y")])
    with pytest.raises(DataError, match=r"the column 'review' of '.*' holds numbers alone"):
        load_table(numbers)
    unseen = table(tmp_path / "u.csv", [("新的", "中")])
    with pytest.raises(DataError, match=r"u\.csv:2: the label '中' is not in the training rows"):
        load_table(path, test=str(unseen))
    (tmp_path / "book.csv").write_bytes(b"PK\x03\x04rest of a workbook")
    with pytest.raises(DataError, match="is an Excel workbook or an archive, not a text file; save it as CSV"):
        load_table(tmp_path / "book.csv")
    (tmp_path / "noise.csv").write_bytes(bytes(range(128, 256)) * 9)
    with pytest.raises(DataError, match=r"noise\.csv"):
        load_table(tmp_path / "noise.csv")
    (tmp_path / "prose.csv").write_text("Once upon a time\nthere was, it is said, a king\n", "utf-8")
    with pytest.raises(DataError, match=r"prose\.csv"):
        load_table(tmp_path / "prose.csv")
    one = table(tmp_path / "o.csv", [("a b", "x"), ("c", "x")])
    given = {"name": "text_table", "file": str(one), "text": "review", "label": "label"}
    config = DataConfig.model_validate({"dataset": given})
    with pytest.raises(DataError, match="needs at least 2 classes, found 1"):
        prepare(config, seed=0)


def test_odd_texts_are_kept(tmp_path, caplog):
    long = "很长" * 50_000 + "！"
    rows = [("", "x"), ("好", "y"), (long, "x"), ("a\0b", "y"), *ROWS[:8]] * 2
    rows = [(text, "xy"[number % 2]) for number, (text, _) in enumerate(rows)]
    path = table(tmp_path / "a.csv", rows)
    samples = load_table(path)
    assert samples.items[0] == ""
    assert len(samples.items[2]) == 100_001
    assert samples.items[3] == "a b"
    assert "2 of 24 texts are empty" in caplog.text
    assert "2 NUL characters are read as spaces" in caplog.text
    config = {"dataset": {"name": "text_table", "file": str(path), "text": "review", "label": "label"}}
    data = prepare(DataConfig.model_validate(config), seed=0)
    for split in (data.train, data.validation, data.test):
        for batch in split.batches(3):
            assert batch.inputs["tokens"].shape[1] <= 256
            assert np.isfinite(batch.inputs["ngram_weights"]).all()


def test_lists_with_names_of_classes(tmp_path):
    (tmp_path / "train.txt").write_text("标题\t一\t0\n另一个\t1\n", "utf-8")
    (tmp_path / "class.txt").write_text("财经\n体育\n", "utf-8")
    samples = load("text_list", train=str(tmp_path / "train.txt"), label_file=str(tmp_path / "class.txt"))
    assert list(samples.items) == ["标题\t一", "另一个"]
    assert samples.targets.names == ("财经", "体育")
    (tmp_path / "other.txt").write_text("1\t另一个\n0\t标题\n", "utf-8")
    turned = load("text_list", train=str(tmp_path / "other.txt"), order="label_text")
    assert list(turned.items) == ["另一个", "标题"]
    (tmp_path / "several.txt").write_text("甲乙\ta,b\n无\t\n", "utf-8")
    several = load("text_list", train=str(tmp_path / "several.txt"), labels="several")
    assert several.targets.values.tolist() == [[1, 1], [0, 0]]


def test_names_of_several_words_are_names_by_line_or_of_ids(tmp_path):
    (tmp_path / "names.txt").write_text("World News\nWorld Cup: football\nSports\n", "utf-8")
    (tmp_path / "ids.txt").write_text("w World News\ns Sports\n0 Nothing\n", "utf-8")
    (tmp_path / "years.txt").write_text("1 one\n2 two\n", "utf-8")

    def names(labels, file):
        (tmp_path / "a.txt").write_text("".join(f"text {label}\t{label}\n" for label in labels), "utf-8")
        samples = load("text_list", train=str(tmp_path / "a.txt"), label_file=str(tmp_path / file))
        return [samples.targets.names[number] for number in samples.targets.values]

    assert names("0120", "names.txt") == ["World News", "World Cup: football", "Sports", "World News"]
    assert names("wsw", "ids.txt") == ["World News", "Sports", "World News"]
    assert names("0s", "ids.txt") == ["Nothing", "Sports"]
    assert names("12", "years.txt") == ["one", "two"]
    with pytest.raises(DataError, match=r"a\.txt:1: the label '0' is not in .*years\.txt; valid: 1, 2"):
        names("01", "years.txt")
    with pytest.raises(DataError, match=r"a\.txt:2: the label 'x' is not in .*ids\.txt"):
        names("wx", "ids.txt")


def test_mistakes_in_lists(tmp_path):
    (tmp_path / "a.txt").write_text("标题\t0\n没有类别\n", "utf-8")
    with pytest.raises(DataError, match=r"a\.txt:2: must be 'text<TAB>class', got '没有类别'"):
        load("text_list", train=str(tmp_path / "a.txt"))
    (tmp_path / "b.txt").write_text("review,label\n很好,1\n", "utf-8")
    with pytest.raises(DataError, match=r"is no list of texts.*take the data set text_table"):
        load("text_list", train=str(tmp_path / "b.txt"))


def test_folders_of_splits(tmp_path):
    for split, count in (("train", 3), ("test", 2)):
        for name in ("好", "差"):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(count):
                (tmp_path / split / name / f"{number}.txt").write_text(f"{split} {name} {number}", "gb18030")
    samples = load("text_folder", root=str(tmp_path))
    assert {name: len(rows) for name, rows in samples.splits.items()} == {"train": 6, "test": 4}
    assert samples.items[0] == "train 好 0"


def test_a_folder_tells_the_encodings_and_takes_a_stated_one(tmp_path, caplog):
    caplog.set_level("INFO")
    texts = {"a/1": "für Müller", "a/2": "fünf Grad", "b/3": "un café à Paris, déjà vu", "b/4": "plain"}
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.txt").write_text(text, "cp1252")
    load("text_folder", root=str(tmp_path))
    assert "of 4 files, not in UTF-8, are read 2 as gb18030 (for example " in caplog.text
    assert "3.txt); if they have one encoding, state it as data.dataset.encoding" in caplog.text
    caplog.clear()
    assert sorted(load("text_folder", root=str(tmp_path), encoding="cp1252").items) == sorted(texts.values())
    assert "are read" not in caplog.text
    with pytest.raises(DataError, match=r"\.txt:1: byte \d+ is not utf-8"):
        load("text_folder", root=str(tmp_path), encoding="utf-8")


def test_a_changed_vocabulary_file_is_read_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rows = [(f"{'good' if number % 2 else 'bad'} movie {number}", "ab"[number % 2]) for number in range(20)]
    given = {"name": "text_table", "file": "a.csv", "text": "review", "label": "label"}
    table(tmp_path / "a.csv", rows)
    tokens = {"kind": "wordpiece", "file": "v.txt"}
    config = DataConfig.model_validate({"dataset": given, "input": {"tokens": tokens, "ngrams": "none"}})

    def known(config):
        found = prepare(config, seed=0, cache_dir=tmp_path / "cache").input
        assert found.fitted.tokens.file == "v.txt"
        return set(found.texts("tokens")[2:])

    (tmp_path / "v.txt").write_text("[UNK]\ngood\nbad\nmovie\n")
    assert known(config) == {"[UNK]", "good", "bad", "movie"}
    made = absolute(config)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert known(made) == {"[UNK]", "good", "bad", "movie"}
    (tmp_path / "v.txt").write_text("[UNK]\ngo\n##od\nba\n##d\n")
    assert known(made) == {"[UNK]", "go", "##od", "ba", "##d"}


@pytest.mark.parametrize("form", ["csv", "jsonl"])
def test_the_form_of_texts_is_left_to_the_input_and_that_of_names_is_one(tmp_path, form):
    """A served text is not composed before the input cleans it, and so no text of a training must be."""
    apart, whole = "tie\u0302\u0301ng", "ti\u1ebfng"
    rows = [(f"{apart} {n}", [apart, whole, "b"][n % 3], apart) for n in range(9)]
    header = (f"te\u0302n {apart}", "label", "person")
    if form == "csv":
        path = table(tmp_path / "a.csv", rows, header)
    else:
        lines = [json.dumps(dict(zip(header, row, strict=True))) for row in rows]
        path = tmp_path / "a.jsonl"
        path.write_text("\n".join(lines), encoding="utf-8")
    samples = load_table(path, text=f"t\u00ean {whole}")
    assert samples.items[0] == f"{apart} 0"
    assert samples.targets.names == ("b", whole)
    assert set(samples.columns["person"]) == {whole}
    twins = np.array([f"{apart} 0", f"{whole} 0"], dtype=object)
    assert copies_of(twins) == {1: 0}
    assert len(set(contents_of(twins).tolist())) == 1


@pytest.mark.parametrize("lacking", ["a.csv", "b.csv"])
def test_a_table_without_the_column_of_groups_is_named(tmp_path, lacking):
    for name in ("a.csv", "b.csv"):
        header = ("review", "label") if name == lacking else ("review", "label", "person")
        rows = [(f"{name} {text} {n}", label, f"{name} {n}")[: len(header)] for n, (text, label) in enumerate(ROWS)]
        table(tmp_path / name, rows, header)
    given = {"name": "text_table", "file": str(tmp_path / "a.csv"), "validation": str(tmp_path / "b.csv")}
    config = DataConfig.model_validate(
        {"dataset": {**given, "text": "review", "label": "label"}, "group": "person"}
    )
    with pytest.raises(DataError, match=rf"data\.group: .*{lacking}:2: the column 'person' is empty or missing"):
        prepare(config, seed=0)
    assert len(prepare(config.model_copy(update={"group": None}), seed=0).validation) == len(ROWS)


def test_folds_follow_from_the_size(tmp_path):
    path = table(tmp_path / "a.csv")
    given = {"name": "text_table", "file": str(path), "text": "review", "label": "label"}
    few = DataConfig.model_validate({"dataset": given, "folds": "auto", "split": {"test": 0}})
    assert find_facts(few).folds == 5
    own = DataConfig.model_validate({"dataset": {**given, "validation": str(path)}, "folds": "auto"})
    assert find_facts(own).folds is None
    many = table(tmp_path / "b.csv", ROWS * 1700)
    assert find_facts(DataConfig.model_validate({"dataset": {**given, "file": str(many)}})).folds is None
    assert len(prepare(few, seed=0).validation) > 0


def test_folds_follow_from_the_groups(tmp_path):
    """Few persons that write about a class cannot fill five folds and a test split."""
    given = {"name": "text_table", "text": "review", "label": "label"}
    for few, folds in ((5, None), (9, 5)):
        rows = [(f"text {n}", "ab"[n % 2], f"p{n % 40 if n % 2 else n % (2 * few)}") for n in range(400)]
        path = table(tmp_path / f"{few}.csv", rows, ("review", "label", "person"))
        options = {"dataset": {**given, "file": str(path)}, "folds": "auto"}
        grouped = DataConfig.model_validate({**options, "group": "person"})
        assert find_facts(grouped).folds == folds
        assert find_facts(DataConfig.model_validate(options)).folds == 5
        assert len(prepare(grouped.model_copy(update={"folds": folds}), seed=0).test)
    stated = grouped.model_copy(update={"folds": 9})
    with pytest.raises(
        DataError,
        match=r"'a' has texts in 7 groups outside of the test split, which do not reach all 9 folds; .*"
        r"use fewer folds \(-o data\.folds=2\), or none \(-o data\.folds=null\)",
    ):
        prepare(stated, seed=0)


def test_folds_are_drawn_once(tmp_path, monkeypatch):
    path, draws = table(tmp_path / "a.csv", ROWS * 3), []
    whole = splitting.folds_of_class
    monkeypatch.setattr(splitting, "folds_of_class", lambda *given: draws.append(given) or whole(*given))
    given = {"name": "text_table", "file": str(path), "text": "review", "label": "label"}
    data = prepare(DataConfig.model_validate({"dataset": given, "folds": 4, "fold": 1}), seed=0)
    assert len(draws) == len(data.task.names)
    assert (data.validation.indices == np.flatnonzero(data.items.folds == 1)).all()
    assert (data.train.indices == np.flatnonzero(np.isin(data.items.folds, [0, 2, 3]))).all()
    assert (data.test.indices == np.flatnonzero(data.items.splits == 2)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"label": "lable"}, r"^data\.dataset\.label: the table .* has no column 'lable'; did you mean 'label'"),
        ({"label": ["lable", "label"]}, r"^data\.dataset\.label: the table .* has no column 'lable'"),
    ],
)
def test_a_mistake_names_the_option(tmp_path, options, message):
    with pytest.raises(DataError, match=message):
        load_table(table(tmp_path / "a.csv"), **options)


def test_labels_and_numbers_exclude_each_other(tmp_path):
    with pytest.raises(ValueError, match=r"both given; for numbers add -o data\.dataset\.label=null"):
        load_table(table(tmp_path / "a.csv"), targets=["label"])


def test_an_empty_file_has_no_wide_encoding():
    assert decoded(b"", "empty.txt") == ("", "utf-8")

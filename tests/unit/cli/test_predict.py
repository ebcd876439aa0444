"""Predictions for tables of texts, and where the time of predictions goes."""

import argparse
import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from paddle_automl.cli import evaluate, predict, profiling
from paddle_automl.cli.common import output_target
from paddle_automl.cli.tables import check_words, predicted_rows, table_texts
from paddle_automl.core.errors import ConfigError, DataError
from paddle_automl.core.log import as_sentences
from paddle_automl.deployment import predictor as predictors
from paddle_automl.deployment import profiling as measured


class Told:
    """A predictor of texts that answers with the names of the items."""

    task = None

    def __init__(self, kind="text", **dataset):
        self.batches = []
        media = SimpleNamespace(kind=kind)
        self.input = SimpleNamespace(media=media, word="text", describe=str.upper, find=lambda items: iter(items))
        self.bundle = SimpleNamespace(
            info=SimpleNamespace(config={"data": {"dataset": {"text": "review", **dataset}}})
        )

    def read(self, text):
        return text

    def predict_read(self, items, names):
        self.batches.append(list(items))
        return names


def arguments(*words):
    parser = argparse.ArgumentParser()
    predict.add_arguments(parser)
    return parser.parse_args(["-m", "x", *words])


@pytest.mark.parametrize("size", ["0", "-1"])
def test_a_batch_holds_at_least_one_item(tmp_path, size):
    with pytest.raises(ConfigError, match=f"--batch-size: must be at least 1, got {size}"):
        predict.run(arguments("new.csv", f"--batch-size={size}"))


@pytest.mark.parametrize("spelling", ["same", "dot", "absolute", "link"])
@pytest.mark.parametrize("option", ["--csv", "--json"])
def test_an_input_is_not_overwritten_however_it_is_spelled(tmp_path, monkeypatch, option, spelling):
    monkeypatch.chdir(tmp_path)
    table = tmp_path / "texts.csv"
    table.write_text("text\nfine\n")
    (tmp_path / "link.csv").symlink_to(table)
    target = {"same": "texts.csv", "dot": "./texts.csv", "absolute": str(table), "link": "link.csv"}[spelling]
    # Texts that are too long for a name, or hold what no name can, are no files.
    with pytest.raises(ConfigError, match=f"{option} .*: is an image, an input or a folder, and would be overwri"):
        predict.run(arguments("long" * 2000, "a\0b", "texts.csv", f"{option}={target}"))
    assert table.read_text() == "text\nfine\n"
    assert output_target(option, "other.csv", ["long" * 2000, "a\0b", "texts.csv"]) == Path("other.csv")


@pytest.mark.parametrize("option", ["--top", "--explain"])
def test_counts_below_one_are_refused(option):
    with pytest.raises(ConfigError, match=f"{option}: must be at least 1, got -1"):
        predict.run(arguments("new.csv", f"{option}=-1"))


def test_a_negative_number_of_mistakes_is_refused():
    parser = argparse.ArgumentParser()
    evaluate.add_arguments(parser)
    with pytest.raises(ConfigError, match="--mistakes: must be at least 0, got -3"):
        evaluate.run(parser.parse_args(["-m", "no_model", "--mistakes=-3"]))


def test_the_rows_of_tables_are_predicted_in_batches(tmp_path):
    for name, text in (("a.csv", "review,rank\ngood,1\nbad,2\n"), ("b.csv", "review\nnice\n")):
        (tmp_path / name).write_text(text, encoding="utf-8")
    told = Told()
    rows = table_texts(told, [str(tmp_path / "a.csv"), str(tmp_path / "b.csv")], None)
    assert rows.columns == {"review": ("good", "bad", "nice"), "rank": ("1", "2", "")}
    assert rows.texts == ["good", "bad", "nice"]
    found = predicted_rows(told, rows, batch_size=2)
    assert told.batches == [["good", "bad"], ["nice"]]
    assert [item.rpartition(": ")[2] for item in found] == ["GOOD", "BAD", "NICE"]
    with pytest.raises(ConfigError, match="only texts stand in tables"):
        table_texts(Told("image"), ["a.csv"], None)


def test_a_profile_measures_the_items_of_the_command_whatever_their_names_are(tmp_path, monkeypatch, capsys):
    seen = []
    monkeypatch.setattr(predictors, "Predictor", lambda *given, **options: Told("image"))

    def profile(predictor, sources, **options):
        seen.append(sources)
        return SimpleNamespace(table=lambda: "times")

    monkeypatch.setattr(measured, "profile", profile)
    # An input of one's own that reads tables as items.
    table = tmp_path / "signal.csv"
    table.write_text("1,2\n", encoding="utf-8")
    profiling.show_profile(tmp_path, arguments(str(table)), None)
    profiling.show_profile(tmp_path, arguments(str(table)), ["good", "bad"])
    assert seen == [[str(table)], ["good", "bad"]]
    assert capsys.readouterr().out.count("times") == 2


@pytest.mark.parametrize("stated", ["trained", "given"])
def test_tables_are_read_in_the_encoding_of_the_training_or_the_one_given(tmp_path, stated):
    text = "für Müller war es schön"
    (tmp_path / "a.csv").write_text(f"review\n{text}\n", encoding="cp1252")
    (tmp_path / "utf.csv").write_text(f"review\n{text}\n", encoding="utf-8")
    if stated == "trained":
        words = [str(tmp_path / "a.csv"), str(tmp_path / "utf.csv")]
        assert table_texts(Told(encoding="cp1252"), words, None).texts == [text, text]
    else:
        told = Told(encoding="big5")
        assert table_texts(told, [str(tmp_path / "a.csv")], None, "cp1252").texts == [text]
        with pytest.raises(DataError, match=r"a\.csv:2: byte \d+ is not utf-8"):
            table_texts(told, [str(tmp_path / "a.csv")], None, "utf-8")


def test_an_encoding_is_that_of_texts(monkeypatch):
    monkeypatch.setattr(predict, "bundle_of", lambda path: path)
    monkeypatch.setattr(predictors, "Predictor", lambda *given, **options: Told("image"))
    with pytest.raises(ConfigError, match="--encoding: is that of files of texts, but the model takes texts"):
        predict.run(arguments("good", "--encoding=cp1252"))


def test_an_encoding_that_was_stated_for_the_training_is_no_reason_to_misread_another(tmp_path):
    (tmp_path / "a.csv").write_bytes("review\n服务很好，而且房间干净\n".encode("gb18030"))
    for trained in ("utf-16-le", "shift_jis", "utf-8"):
        told = Told(encoding=trained)
        assert table_texts(told, [str(tmp_path / "a.csv")], None).texts == ["服务很好，而且房间干净"], trained


@pytest.mark.parametrize("word", ["nosuch.csv", "no/such/new.CSV", "文件.txt", "a.tsv", "a.jsonl"])
def test_a_file_that_is_missing_is_no_text(word):
    with pytest.raises(DataError, match=r"items: the file '.*' does not exist"):
        check_words(["good", word])


def test_other_words_are_texts(tmp_path, capsys):
    (tmp_path / "a.txt").write_text("good")
    check_words(["太吵了", "see notes.txt", str(tmp_path / "a.txt"), "", str(tmp_path)])
    assert not capsys.readouterr().err
    check_words(["good/bad"])
    assert "'good/bad' names no file or folder; it is taken for a text" in capsys.readouterr().err


def test_the_column_of_the_texts_is_suggested(tmp_path):
    (tmp_path / "a.csv").write_text("label,what guests say\ngood,a quiet room\nbad,much too loud\n")
    with pytest.raises(
        DataError, match=r"has no column 'review'; name that of the texts, such as --text 'what guests say'"
    ):
        table_texts(Told(), [str(tmp_path / "a.csv")], None)


def test_what_is_logged_is_shown_as_sentences(tmp_path, capsys):
    log = logging.getLogger("paddle_automl")
    before = (list(log.handlers), log.level, log.propagate)
    (tmp_path / "a.csv").write_bytes(
        "review,label\n服务很好而且房间干净,好\n房间太吵了，早餐也很差,差\n".encode("gb18030")
    )
    with as_sentences():
        log.getChild("x").warning("left out: %s", "a.md")
        log.getChild("x").info("device cpu")
        table_texts(Told(), [str(tmp_path / "a.csv")], None)
    assert capsys.readouterr().err.splitlines() == ["left out: a.md", f"{tmp_path / 'a.csv'}: is read as gb18030"]
    assert (list(log.handlers), log.level, log.propagate) == before

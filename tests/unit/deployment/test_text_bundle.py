"""A bundle of texts: from a network of n-grams to answers, tables and explanations."""

import csv
import json
import shutil

import numpy as np
import pytest

from paddle_automl.cli import predict
from paddle_automl.core.errors import BundleError, ConfigError, DataError, UnsupportedError
from paddle_automl.data.config import DataConfig
from paddle_automl.data.prepare import prepare
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.create import create_bundle
from paddle_automl.deployment.explanation import explain, telling
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.inputs import batching
from paddle_automl.inputs.text import TextInput
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.network import build_network
from tests.unit.deployment.conftest import array_data, make_net, quick

GOOD, BAD = ("很干净", "不错", "喜欢", "room clean"), ("太吵", "很差", "脏", "noisy")
NAMES = ("good", "bad")


def write_table(path, count=60):
    rng = np.random.default_rng(0)
    rows = []
    for number in range(count):
        words = rng.choice(GOOD if number % 2 else BAD, rng.integers(1, 9))
        rows.append(("，".join(words), NAMES[number % 2 == 0]))
    with open(path, "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("review", "label"), *rows])
    return path


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The data, a network with random n-grams, and its bundle."""
    folder = tmp_path_factory.mktemp("texts")
    given = {"name": "text_table", "file": str(write_table(folder / "a.csv")), "text": "review", "label": "label"}
    data = prepare(DataConfig.model_validate({"dataset": given}), seed=0, arrays=("ngrams", "ngram_weights"))
    network = build_network(ModelConfig.model_validate({"backbone": "wide"}), data.input, 2, seed=0)
    table = next(item for item in network.parameters() if item.shape[0] == data.input.rows("ngrams"))
    weights = np.random.default_rng(1).normal(0, 2, table.shape).astype("float32")
    weights[0] = 0
    table.set_value(weights)
    network.eval()
    config = {"data": {"dataset": given}}
    bundle = create_bundle(
        network, folder=folder / "model", data=data, deployment=quick(), config=config, metrics={}
    )
    return data, network, bundle


def test_the_bundle_equals_the_network_at_every_length(made):
    data, _, bundle = made
    assert bundle.verified
    assert bundle.info.parity.largest_difference < 1e-5
    assert {"input/ngrams.txt", "samples/0.txt"} <= set(bundle.info.files)
    assert [item.name for item in bundle.info.inputs] == ["ngrams", "ngram_weights"]
    lengths = data.validation.lengths
    assert len(set(lengths.tolist())) > 2


def test_batches_and_single_texts_agree(made):
    predictor = Predictor(made[2])
    texts = ["太吵", "不错，喜欢，很干净" * 20, "", "木", "noisy room"]
    together = [item.probability for item in predictor.predict(texts)]
    alone = [predictor.predict(text)[0].probability for text in texts]
    np.testing.assert_allclose(together, alone, atol=1e-6)


def test_numbers_beyond_the_vocabulary_do_not_reach_the_network(made):
    predictor = Predictor(made[2])
    rows = predictor.input.rows("ngrams")
    for wrong in (rows, -1):
        arrays = {"ngrams": np.array([[1, wrong]]), "ngram_weights": np.ones((1, 2), np.float32)}
        with pytest.raises(DataError, match=f"'ngrams' must be from 0 to {rows - 1}"):
            predictor.run(arrays)


def test_a_changed_or_missing_vocabulary_is_refused(made, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(made[2].folder, folder)
    file = folder / "input" / "ngrams.txt"
    content = file.read_bytes()
    file.write_bytes(content.replace("差".encode(), "好".encode(), 1))
    with pytest.raises(BundleError, match=r"ngrams\.txt: was changed after the export"):
        Bundle.open(folder)
    with pytest.raises(BundleError, match="is not the vocabulary that the network was trained with"):
        Predictor(Bundle.open(folder, check_files=False)).predict("很差")
    file.unlink()
    with pytest.raises(BundleError, match=r"input/ngrams\.txt is missing"):
        Bundle.open(folder)


def test_contributions_add_up_to_the_scores(made):
    data, network, bundle = made
    predictor = Predictor(bundle)
    found = explain(predictor, predictor.read("很干净，太吵"))
    assert {"很干净", "太吵", "吵"} <= set(found.names)
    np.testing.assert_allclose(found.base + found.contributions.sum(axis=0), found.total, atol=1e-4)
    table = next(item for item in network.parameters() if item.shape[0] == data.input.rows("ngrams")).numpy()
    row = data.input.texts("ngrams").index("太吵")
    arrays = predictor.input.batch(np.array(["很干净，太吵"], dtype=object))
    weight = float(arrays["ngram_weights"][0][arrays["ngrams"][0] == row][0])
    temperature = getattr(bundle.info.calibration, "temperature", 1.0) or 1.0
    others = (table[row].sum() - table[row]) / (len(table[row]) - 1)
    expected = weight * (table[row] - others) / temperature
    np.testing.assert_allclose(found.contributions[found.names.index("太吵")], expected, rtol=1e-3, atol=1e-5)
    best = found.ranked(0)
    assert best[0][1] == found.contributions[:, 0].max()
    assert explain(predictor, "").names == ()


def test_the_most_telling_ngrams_of_a_split(made):
    data, _, bundle = made
    predictor = Predictor(bundle)
    found = telling(predictor, data.validation.with_input(predictor.input), 3)
    assert set(found) == set(NAMES)
    assert all(value > 0 for parts in found.values() for _, value in parts)
    assert all(len(parts) == 3 for parts in found.values())


def test_networks_of_images_are_not_explained(tmp_path):
    data = array_data()
    bundle = create_bundle(make_net(), folder=tmp_path / "m", data=data, deployment=quick(), config={}, metrics={})
    with pytest.raises(UnsupportedError, match="takes no parts of an image"):
        explain(Predictor(bundle), data.validation.raw([0])[0])
    assert telling(Predictor(bundle), data.validation, 3) is None
    with pytest.raises(ConfigError, match="only texts stand in tables, but the model takes images"):
        predict.run(arguments(bundle, "x.csv", "--text", "review"))


def arguments(bundle, *words):
    import argparse

    parser = argparse.ArgumentParser()
    predict.add_arguments(parser)
    return parser.parse_args(["-m", str(bundle.folder), *map(str, words)])


def test_a_table_is_written_again_with_the_answers(made, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "太吵").write_text("the cell below is no name of this file", "utf-8")
    (tmp_path / "new.csv").write_text("id,review,label\n1,太吵,?\n2,,?\n3,=1+1,?\n", "gb18030")
    assert predict.run(arguments(made[2], "new.csv", "--text", "review", "--csv", "out.csv", "--no-unknown")) == 0
    assert "3 predictions written to out.csv" in capsys.readouterr().out
    with open("out.csv", encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == [
        "id",
        "review",
        "label",
        "predicted_label",
        "probability",
        "runner_up",
        "runner_up_probability",
    ]
    assert [row[:2] for row in rows] == [["1", "太吵"], ["2", ""], ["3", "'=1+1"]]
    assert all({row[3], row[5]} == set(NAMES) for row in rows)
    np.testing.assert_allclose([float(row[4]) + float(row[6]) for row in rows], 1, atol=2e-6)
    for source, target in (("out.csv", "two.csv"), ("two.csv", "three.csv")):
        assert predict.run(arguments(made[2], source, "--text", "review", "--csv", target)) == 0
    header = (tmp_path / "three.csv").read_text("utf-8-sig").splitlines()[0].split(",")
    assert len(set(header)) == len(header) == 15
    assert header[-4:] == [
        "predicted_predicted_predicted_label",
        *(f"predicted_predicted_{name}" for name in ("probability", "runner_up", "runner_up_probability")),
    ]
    own = Predictor(made[2], reject=False).predict_items(np.array(["太吵"], dtype=object))[0]
    assert float(rows[0][4]) == pytest.approx(own.max(), abs=1e-6)
    with pytest.raises(
        DataError, match=r"new\.csv: has no column 'revue'; did you mean 'review'; name that of the"
    ):
        predict.run(arguments(made[2], "new.csv", "--text", "revue"))


def test_a_file_is_read_in_the_encoding_that_is_given(made, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.txt").write_text("太吵，früh", "utf-16-be")
    (tmp_path / "b.txt").write_text("für", "cp1252")
    read, texts = TextInput.read, []
    monkeypatch.setattr(TextInput, "read", lambda given, source: texts.append(read(given, source)) or texts[-1])
    assert predict.run(arguments(made[2], "b.txt", "--encoding", "cp1252")) == 0
    assert predict.run(arguments(made[2], "a.txt", "--encoding", "utf-16-be")) == 0
    assert "a.txt" in capsys.readouterr().out
    assert predict.run(arguments(made[2], "b.txt")) == 0
    monkeypatch.setitem(made[2].info.config["data"]["dataset"], "encoding", "cp1252")
    monkeypatch.setattr("paddle_automl.cli.predict.bundle_of", lambda path: made[2])
    assert predict.run(arguments(made[2], "b.txt")) == 0
    assert [text.item() for text in texts] == ["für", "太吵，früh", "f黵", "für"]


def test_explanations_are_printed_and_written(made, capsys):
    assert predict.run(arguments(made[2], "很干净，太吵", "--explain", "2", "--no-unknown")) == 0
    shown = capsys.readouterr().out
    assert "what spoke for and against" in shown
    assert " without text" in shown
    assert predict.run(arguments(made[2], "很干净，太吵", "--explain", "2", "--json")) == 0
    (record,) = json.loads(capsys.readouterr().out)
    (explained,) = record["explanation"].values()
    assert len(explained["for"]) == 2
    with pytest.raises(ConfigError, match="--explain: has no form in a CSV file"):
        predict.run(arguments(made[2], "很干净", "--explain", "--csv", "x.csv"))


def test_batches_of_long_texts_are_divided(made, monkeypatch):
    data, _, bundle = made
    predictor = Predictor(bundle)
    items = data.validation.raw(np.arange(8))
    whole = predictor.predict_items(items)
    asked, batch = [], predictor.input.batch
    monkeypatch.setattr(batching, "MOST_NUMBERS", 4)
    monkeypatch.setattr(predictor.input, "batch", lambda items: asked.append(len(items)) or batch(items))
    np.testing.assert_allclose(predictor.predict_items(items), whole, atol=1e-6)
    assert asked.count(1) == 8

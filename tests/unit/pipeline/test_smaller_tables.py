"""Smaller tables in an exported network, where validation allows them."""

import csv
import logging
from types import SimpleNamespace

import numpy as np
import pytest

from paddle_automl.data.config import DataConfig
from paddle_automl.data.prepare import prepare
from paddle_automl.deployment.config import DeploymentConfig
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.network import build_network
from paddle_automl.models.tables import RowTable
from paddle_automl.models.text.compact_table import CompactTable
from paddle_automl.pipeline.jobs import smaller_tables
from paddle_automl.pipeline.jobs.smaller_tables import with_smaller_tables
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.evaluation import predict
from paddle_automl.training.goal import Goal
from paddle_automl.training.loop import train

GOOD, BAD = ("很干净", "不错", "喜欢", "room clean"), ("太吵", "很差", "脏", "noisy")
PARTS = {"linear": "linear_ngrams", "bag": {"name": "bag", "width": 8}, "net": {"name": "text_cnn", "filters": 8}}


@pytest.fixture
def trained(tmp_path, monkeypatch):
    monkeypatch.setattr(smaller_tables, "LEAST_MB", 0.0)
    rng = np.random.default_rng(0)
    rows = [("，".join(rng.choice((GOOD, BAD)[n % 2], 5)), "gb"[n % 2]) for n in range(80)]
    with open(tmp_path / "a.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("text", "label"), *rows])
    given = {"name": "text_table", "file": str(tmp_path / "a.csv"), "text": "text", "label": "label"}
    data = prepare(DataConfig.model_validate({"dataset": given}), seed=0)
    options = ModelConfig.model_validate({"backbone": {"name": "sum", "parts": PARTS}})
    model = build_network(options, data.input, 2, seed=0)
    data = data.with_arrays(("tokens", "ngrams", "ngram_weights"))
    train(model, data, TrainingConfig(epochs=2, batch_size=16), seed=0, folder=None)
    return model, data


def tables(model, kind):
    return [layer for layer in model.sublayers() if isinstance(layer, kind)]


def small(model, data, **options):
    deployment = DeploymentConfig.model_validate(options)
    return with_smaller_tables(model, data, deployment, Goal.of(data.task))


def test_tables_become_smaller_and_answers_stay(trained):
    model, data = trained
    before = predict(model, data.validation)
    made = small(model, data)
    assert (len(tables(made, CompactTable)), tables(made, RowTable)) == (3, [])
    after = predict(made, data.validation)
    assert (after.argmax(1) == before.argmax(1)).all()
    assert not np.array_equal(after, before)


@pytest.mark.parametrize("options", [{"tables": "plain"}, {"formats": ["onnx"]}])
def test_tables_stay_where_they_are_wanted_or_a_format_needs_them(trained, options):
    assert len(tables(small(*trained, **options), RowTable)) == 3


def test_a_format_that_needs_plain_tables_is_told(trained, caplog):
    with caplog.at_level(logging.INFO, logger="paddle_automl"):
        small(*trained, tables="plain")
    assert not caplog.text
    with caplog.at_level(logging.INFO, logger="paddle_automl"):
        small(*trained, formats=["onnx", "paddle_program"])
    assert "MB stay in float32 in all formats: onnx cannot hold smaller ones" in caplog.text


def test_tables_stay_if_smaller_ones_cost_accuracy(trained, monkeypatch):
    model, data = trained
    before = predict(model, data.validation)
    monkeypatch.setattr(smaller_tables, "CHOICES", ((0.0, 8.0),))
    made = small(model, data)
    assert len(tables(made, RowTable)) == 3
    np.testing.assert_array_equal(predict(made, data.validation), before)


def test_no_table_is_larger_than_allowed(trained):
    model, _ = trained
    table = tables(model, RowTable)[0]
    width = int(table.weight.shape[1])
    rows = int(table.weight.shape[0])
    assert len(smaller_tables._kept(table, 1.0, (4 * rows + 400) / 1e6)) == 400 // (width + 4)


def test_all_rows_are_kept_in_8_bits_if_fewer_cost_accuracy(trained, monkeypatch):
    model, data = trained
    before = predict(model, data.validation)
    rows = [int((layer.weight.numpy() != 0).any(axis=1).sum()) for layer in tables(model, RowTable)]
    monkeypatch.setattr(smaller_tables, "CHOICES", ((0.0, 8.0), (1.0, 0.0), smaller_tables.CHOICES[-1]))
    made = small(model, data)
    assert [int(layer.codes.shape[0]) - 1 for layer in tables(made, CompactTable)] == rows
    assert (predict(made, data.validation).argmax(1) == before.argmax(1)).all()


def test_each_predicted_number_is_judged_in_its_own_unit():
    rng = np.random.default_rng(0)
    before = np.stack([rng.normal(1e6, 1e5, 200), rng.normal(3.0, 1.0, 200)], axis=1)
    split = SimpleNamespace(task=SimpleNamespace(final=SimpleNamespace(activation="identity")))

    def good(change):
        return smaller_tables._as_good(before, before + change, split, Goal("rmse", False, ("rmse", "loss")))

    assert good([900.0, 0.009])
    # 5% of the deviation of the first number alone, half and 2% of that of the second alone.
    assert not good([5e3, 0.0])
    assert not good([0.0, 0.5])
    assert not good([0.0, 0.02])

"""Backbones of texts: solved linear models, sums of parts, padding."""

import numpy as np
import paddle
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression
from sklearn.svm import LinearSVC

from paddle_automl.core.errors import ConfigError, TrialError
from paddle_automl.core.loading import validate
from paddle_automl.inputs.ragged import Ragged
from paddle_automl.models.backbones.base import BACKBONES
from paddle_automl.models.config import ModelConfig
from paddle_automl.models.kinds import parameter_kinds
from paddle_automl.models.network import build_network
from paddle_automl.models.problem import Problem
from paddle_automl.models.text.linear import SVM_SCALE
from paddle_automl.testing.backbones import text_input
from paddle_automl.training.config import TrainingConfig
from paddle_automl.training.recipe import build_optimizer

ITEMS = 60


def network(backbone, outputs=3, **model):
    config = validate(ModelConfig, {"backbone": backbone, **model})
    names = BACKBONES[config.backbone.name].arrays(config.backbone)
    given = text_input()
    return build_network(config, given if names is None else given.only(names), outputs, seed=0), given


def problem(classes, outputs, rows, activation="softmax", targets=None, weights=None):
    """Random n-grams whose rows depend on the class."""
    rng = np.random.default_rng(0)
    numbers = [np.unique(1 + (rng.integers(0, rows - 1, 6) // 3 * 3 + kind) % (rows - 1)) for kind in classes]
    ngrams = Ragged.of(numbers, np.int64)
    values = rng.random(len(ngrams.values)).astype(np.float32)
    arrays = {"ngrams": ngrams, "ngram_weights": Ragged(ngrams.offsets, values)}
    targets = np.eye(outputs, dtype=np.float32)[classes] if targets is None else targets
    items = sp.csr_matrix((values, ngrams.values, ngrams.offsets), shape=(len(classes), rows))
    return Problem(arrays.__getitem__, targets, activation, weights), items


def outputs_of(model, asked):
    rows = np.arange(len(asked.targets))
    arrays = [asked.read("ngrams").padded(rows, "int64"), asked.read("ngram_weights").padded(rows, "float32")]
    model.eval()
    with paddle.no_grad():
        return model(*map(paddle.to_tensor, arrays)).numpy()


@pytest.mark.parametrize("outputs", [2, 3])
@pytest.mark.parametrize("kind", ["svm", "logistic"])
def test_the_table_has_the_decision_values_of_scikit_learn(kind, outputs):
    model, given = network({"name": "linear_ngrams", "model": kind, "C": 0.5}, outputs)
    classes = np.arange(ITEMS) % outputs
    asked, items = problem(classes, outputs, given.rows("ngrams"))
    model.backbone.solve(asked)
    theirs = (LinearSVC(C=0.5, random_state=0) if kind == "svm" else LogisticRegression(C=0.5)).fit(items, classes)
    found, expected = outputs_of(model, asked), theirs.decision_function(items)
    scale = SVM_SCALE if kind == "svm" else 1.0
    if outputs == 2:
        difference = found[:, 1] - found[:, 0]
        np.testing.assert_allclose(difference, expected * scale * (2 if kind == "svm" else 1), atol=1e-5)
    else:
        np.testing.assert_allclose(found, expected * scale, atol=1e-5)
    np.testing.assert_array_equal(found.argmax(1), theirs.predict(items))
    if kind == "logistic":
        odds = np.exp(found - found.max(1, keepdims=True))
        np.testing.assert_allclose(odds / odds.sum(1, keepdims=True), theirs.predict_proba(items), atol=1e-5)


def test_classes_without_items_labels_and_numbers_are_solved():
    model, given = network("linear_ngrams", 4)
    classes = np.arange(ITEMS) % 2 * 2
    asked, _ = problem(classes, 4, given.rows("ngrams"))
    model.backbone.solve(asked)
    assert set(outputs_of(model, asked).argmax(1)) <= {0, 2}
    labels = np.stack([classes == 0, classes == 2, np.ones(ITEMS)], axis=1).astype(np.float32)
    model, _ = network("linear_ngrams", 3)
    asked, _ = problem(classes, 3, given.rows("ngrams"), "sigmoid", labels, np.array([2.0, 1.0, 1.0]))
    model.backbone.solve(asked)
    assert (outputs_of(model, asked)[:, 2] > 0).all()
    model, _ = network({"name": "linear_ngrams", "C": 100.0}, 1)
    numbers = classes[:, None].astype(np.float32)
    asked, _ = problem(classes, 1, given.rows("ngrams"), "identity", numbers)
    model.backbone.solve(asked)
    assert np.abs(outputs_of(model, asked) - numbers).mean() < 0.5
    asked, _ = problem(np.zeros(ITEMS, dtype=int), 3, given.rows("ngrams"))
    with pytest.raises(TrialError, match="same class"):
        network("linear_ngrams", 3)[0].backbone.solve(asked)


@pytest.mark.parametrize("kind", ["svm", "logistic"])
@pytest.mark.parametrize("share", [0.0, 1.0])
def test_a_label_of_no_text_or_of_all_has_its_share_as_probability(kind, share):
    model, given = network({"name": "linear_ngrams", "model": kind}, 1)
    asked, _ = problem(
        np.arange(ITEMS) % 2, 1, given.rows("ngrams"), "sigmoid", np.full((ITEMS, 1), share, np.float32)
    )
    model.backbone.solve(asked)
    probability = 1 / (1 + np.exp(-outputs_of(model, asked)))
    np.testing.assert_allclose(probability, (share * ITEMS + 0.5) / (ITEMS + 1), rtol=1e-4)


SUM = {"linear": "linear_ngrams", "wide": "wide", "bag": {"name": "bag", "width": 4}, "net": "none"}


def test_a_sum_trains_its_parts_together_or_each_by_itself_and_answers_with_the_mean():
    for together, branches in ((True, 1), (False, 2)):
        model, given = network({"name": "sum", "parts": SUM, "together": together})
        arrays = [
            paddle.to_tensor(array)
            for array in given.only(("ngrams", "ngram_weights")).example(5, np.random.default_rng(0)).values()
        ]
        with paddle.no_grad():
            for tensor in model.state_dict().values():
                tensor.set_value(paddle.rand(tensor.shape))
        model.eval()
        features = model.features(*arrays)
        found = model.backbone.loss_branches(features)
        assert len(found) == branches
        parts = {name: part(*arrays).numpy() for name, part in model.backbone.parts.items()}
        learned = [parts["wide"] + parts["bag"]] if together else [parts["wide"], parts["bag"]]
        for one, other in zip(found, learned, strict=True):
            np.testing.assert_allclose(one.numpy(), other, rtol=1e-5)
        np.testing.assert_allclose(model(*arrays).numpy(), np.mean([*learned, parts["linear"]], axis=0), rtol=1e-5)
    kinds = parameter_kinds(model)
    assert kinds["backbone.parts.linear.backbone.table.weight"] == "solved"
    assert kinds["backbone.parts.bag.backbone.table.weight"] == "table"


def test_the_last_matrix_of_each_part_is_a_head():
    net = {"name": "text_cnn", "width": 4, "filters": 2}
    inner = {"name": "sum", "parts": {"net": net, "wide": "wide"}}
    model, _ = network({"name": "sum", "parts": {"bag": {"name": "bag", "width": 4}, "inner": inner}})
    heads = {"backbone.parts.bag.fc.weight", "backbone.parts.inner.backbone.parts.net.fc.weight"}
    assert {name for name, kind in parameter_kinds(model).items() if kind == "head"} == heads
    build_optimizer(model, validate(TrainingConfig, {"rates": {"head": 2.0}}))
    rates = {name: tensor.optimize_attr["learning_rate"] for name, tensor in model.named_parameters()}
    assert {name for name, rate in rates.items() if rate == 2} == heads


def test_parts_may_be_sums_and_wrong_parts_are_named():
    inner = {"name": "sum", "parts": {"a": "wide", "b": "bag"}}
    model, _ = network({"name": "sum", "parts": {"first": inner, "second": "linear_ngrams"}})
    assert "backbone.parts.first.backbone.parts.a.backbone.table.weight" in model.state_dict()
    with pytest.raises(ConfigError, match="needs at least one part"):
        network({"name": "sum", "parts": {"a": "none"}})
    with pytest.raises(ConfigError, match=r"unknown part .resnet. of a sum; valid: .*text_cnn"):
        network({"name": "sum", "parts": {"a": "resnet"}})
    with pytest.raises(ConfigError, match=r"model\.dropout: does not apply to the backbone 'wide'"):
        network("wide", dropout=0.5)
    with pytest.raises(ConfigError, match=r"model\.head: does not apply"):
        network("wide", head="mlp")


@pytest.mark.parametrize("name", ["text_cnn", "bigru", "text_transformer", "dpcnn"])
def test_padding_leaves_no_trace(name):
    kind = BACKBONES[name]
    model, _ = network({"name": name, **kind.small})
    model.eval()
    rng = np.random.default_rng(0)
    for length in (1, 4, 9):
        tokens = rng.integers(1, 12, (2, length))
        alone = model(paddle.to_tensor(tokens[:1])).numpy()
        longer = np.zeros((2, length + 7), dtype=np.int64)
        longer[0, :length], longer[1, : length + 2] = tokens[0], rng.integers(1, 12, length + 2)
        np.testing.assert_allclose(model(paddle.to_tensor(longer)).numpy()[:1], alone, atol=1e-6)


def test_recurrent_layers_are_not_converted_to_onnx(tmp_path):
    from paddle_automl.core.errors import UnsupportedError
    from paddle_automl.deployment.exporters.base import EXPORTERS
    from paddle_automl.tasks.base import Final

    exporter = EXPORTERS["onnx"]
    try:
        exporter.require()
    except UnsupportedError as reason:
        pytest.skip(str(reason))
    model, given = network({"name": "bigru", **BACKBONES["bigru"].small})
    specs = given.only(("tokens",)).specs
    with pytest.raises(UnsupportedError, match="has recurrent layers"):
        exporter(exporter.Config()).export(model, tmp_path, specs=specs, final=Final("softmax"))

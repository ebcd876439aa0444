"""Bundles of every kind of task, and of a network with two inputs of a kind of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace

import numpy as np
import paddle
import pytest
import yaml
from paddle import nn

from paddle_automl.core.errors import ParityError
from paddle_automl.data.stores import ArrayStore
from paddle_automl.deployment.bundle import Bundle
from paddle_automl.deployment.create import create_bundle
from paddle_automl.deployment.exporters.onnx import OnnxExporter
from paddle_automl.deployment.integrity import read_info
from paddle_automl.deployment.network import as_trained
from paddle_automl.deployment.parity import ParityLimits, check_parity
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.deployment.samples import check_samples
from paddle_automl.deployment.verify import verify_bundle
from paddle_automl.inputs.base import INPUTS, Fitted, Input, Reader, TensorSpec
from paddle_automl.tasks.base import RawTargets
from paddle_automl.tasks.multi_label import MultiLabel
from paddle_automl.tasks.regression import Regression
from paddle_automl.training.evaluation import predict
from tests.unit.deployment.conftest import Net, array_data, edited, make_net, quick, tampered

needs_onnx = pytest.mark.skipif(bool(OnnxExporter.missing()), reason="the extra `onnx` is not installed")
COUNT = 90
LABELS = ("cat", "dog", "bird")
THRESHOLDS = (0.3, 0.5, 0.7)


def labelled():
    values = (np.random.default_rng(1).random((COUNT, 3)) < 0.4).astype(np.uint8)
    task = MultiLabel(MultiLabel.Fitted(name="multi_label", names=LABELS, thresholds=THRESHOLDS))
    return array_data(targets=RawTargets("labels", values, LABELS), task=task)


def numbered(*names, interval=None):
    """Numbers of very different sizes: around 1000 with deviation 200, around 0 with 0.01, ..."""
    sizes = [(1000.0, 200.0), (0.0, 0.01)][: len(names)]
    rng = np.random.default_rng(2)
    values = np.stack([rng.normal(mean, scale, COUNT) for mean, scale in sizes], axis=1)
    raw = RawTargets("numbers", values, names)
    task = Regression.fit(Regression.Config(name="regression", interval=interval), raw)
    return array_data(targets=raw, task=task)


def make(folder, net, data, **changes):
    return create_bundle(net, folder=folder, data=data, deployment=quick(**changes), config={}, metrics={})


def net_of(data):
    paddle.seed(5)
    net = Net(1, data.task.outputs)
    net.eval()
    return net


CASES = {
    "labels": labelled,
    "numbers": lambda: numbered("price", "size"),
    "interval": lambda: numbered("price", "size", interval=0.8),
}


def widened():
    data = numbered("price", "size", interval=0.97)
    task = data.task.calibrated(predict(net_of(data), data.validation), data.validation.codes)
    assert min(task.fitted.offset) > 0
    return data.with_task(task)


CASES["widened interval"] = widened


def test_the_coverage_of_intervals_is_recorded(tmp_path):
    data = widened()
    record = make(tmp_path / "m", net_of(data), data).info.intervals
    assert (record.target, record.items, record.held_out) == (0.97, len(data.validation), True)
    assert min(record.coverage.values()) >= 0.97 > max(record.coverage_before.values())
    assert "0.97 of the true numbers are to lie in them" in record.describe()


@pytest.mark.parametrize("case", CASES)
def test_the_whole_way(case, tmp_path):
    data = CASES[case]()
    net = net_of(data)
    bundle = make(tmp_path / "m", net, data, formats=["paddle_program"])
    assert bundle.verified, bundle.info.parity.describe()
    assert bundle.task.fitted == data.task.fitted
    parity = bundle.info.parity
    assert parity.metric == data.task.metrics[0]
    assert parity.value == pytest.approx(parity.network_value, rel=1e-5)
    assert parity.largest_difference <= 1e-5
    assert (parity.raw_files, parity.raw_source) == (20, "written files")
    assert (bundle.folder / "labels.txt").read_text(encoding="utf-8").splitlines() == list(data.task.names)

    items = data.validation.raw(np.arange(7))
    expected = as_trained(net, data.task.final)(data.input.batch(items))
    got = Predictor(bundle).predict_items(items)
    assert got.shape == (7, data.task.outputs)
    np.testing.assert_allclose(got / data.task.scales, expected / data.task.scales, atol=1e-5)
    check = check_samples(bundle)
    assert check.passed
    assert check.samples == 5
    assert verify_bundle(bundle.folder).passed


def test_thresholds_decide_which_labels_apply(tmp_path):
    data = labelled()
    bundle = make(tmp_path / "m", net_of(data), data)
    predictor = Predictor(bundle)
    [found] = predictor.predict([bundle.folder / "samples" / "0.png"])
    applying = tuple(
        name for name, limit in zip(LABELS, THRESHOLDS, strict=True) if found.probabilities[name] >= limit
    )
    assert found.answer.labels == applying
    assert found.label == (", ".join(applying) or "none")
    assert found.probability is None
    assert found.top(1)[0][1] == max(found.probabilities.values())
    kept = json.loads((bundle.folder / "samples" / "expected.json").read_text(encoding="utf-8"))["samples"][0]
    assert kept["answer"] == found.label


def test_answers_are_in_the_unit_of_the_user(tmp_path):
    data = numbered("price", interval=0.8)
    bundle = make(tmp_path / "m", net_of(data), data)
    facts = yaml.safe_load((bundle.folder / "bundle.yaml").read_text(encoding="utf-8"))
    assert facts["task"]["interval"] == 0.8
    [found] = Predictor(bundle).predict(bundle.folder / "samples" / "0.png")
    assert 0 < found.probabilities["price"] < 3000
    lower, upper = found.answer.interval["price"]
    assert lower <= upper


def test_differences_count_in_units_of_each_column(tmp_path):
    data = numbered("price", "size")
    net = net_of(data)
    bundle = make(tmp_path / "m", net, data)
    predictor = Predictor(bundle)
    moved = Net(1, 2)
    moved.set_state_dict(net.state_dict())
    # A thousandth of each column's deviation: 0.2 of the price, 0.00001 of the size.
    moved.head.bias.set_value(net.head.bias + paddle.to_tensor([0.0, 0.001 / net.scale]))
    record = check_parity(moved, predictor, data.validation)
    assert not record.verified
    assert record.largest_difference == pytest.approx(
        0.001 * data.task.fitted.scale[1] / data.task.scales[1], rel=0.01
    )
    assert "'size'" in record.worst
    assert "of their scale" in record.describe()
    assert record.agreement == 1.0


def test_a_drop_of_a_metric_that_is_to_shrink(tmp_path, monkeypatch):
    monkeypatch.setattr(Regression, "metrics", ("rmse", "loss"))
    data = numbered("price")
    net = net_of(data)
    predictor = Predictor(make(tmp_path / "m", net, data))
    far = Net(1, 1)
    far.set_state_dict(net.state_dict())
    far.head.bias.set_value(net.head.bias + paddle.to_tensor([50.0]))
    # Here the "network" is worse than the bundle: the drop is negative.
    record = check_parity(far, predictor, data.validation, limits=ParityLimits(None, 0.0, 0.0))
    assert record.metric == "rmse"
    assert record.value < record.network_value
    assert record.drop == record.value - record.network_value < 0
    assert record.verified
    far_bundle = Predictor(make(tmp_path / "far", far, data))
    record = check_parity(net, far_bundle, data.validation, limits=ParityLimits(None, 0.0, 0.01))
    assert record.drop > 0.01
    assert not record.verified
    assert "rmse" in record.describe()


def test_other_columns_are_an_error(tmp_path):
    data = numbered("price", "size")
    bundle = make(tmp_path / "m", net_of(data), data)
    with pytest.raises(ParityError, match=r"the bundle's task regression with 2 names .* is not the data's"):
        check_parity(make_net(), Predictor(bundle), labelled().validation)

    def swap(facts):
        for key in ("names", "mean", "scale"):
            facts["task"][key].reverse()

    folder = edited(tampered(bundle, tmp_path / "b"), swap)
    (folder / "labels.txt").write_text("size\nprice\n", encoding="utf-8")
    swapped = Predictor(Bundle(folder, read_info(folder)))
    assert not check_parity(net_of(data), swapped, data.validation).verified


@needs_onnx
@pytest.mark.parametrize("case", CASES)
def test_onnx_and_8_bits(case, tmp_path):
    data = CASES[case]()
    data = replace(data, train=data.validation)
    net = net_of(data)
    bundle = make(tmp_path / "m", net, data, formats=["onnx", "onnx_int8"])
    exact, int8 = bundle.info.formats
    assert exact.verified, exact.parity.describe()
    assert int8.parity.metric == data.task.metrics[0]
    # Of a network that was never trained; in 8 bits every layer but the last is rounded.
    assert int8.parity.agreement >= 0.7
    assert int8.parity.largest_difference < 0.3
    assert int8.parity.drop is not None


# -- a kind of input of its own, with two arrays -----------------------------------------------------------------
@dataclass(frozen=True)
class _Reader(Reader):
    def __call__(self, source):
        return np.load(source)

    def empty(self, count):
        return np.zeros((count, 6), np.float32)


@INPUTS.register("test_pairs")
class Pairs(Input):
    """Rows of six numbers; the network takes four of them and two counts."""

    class Fitted(Fitted):
        """Nothing is learned."""

        factor: float = 2.0
        """Factor of the numbers."""

    word = "row"

    @classmethod
    def reader(cls, config, *, sources, items):
        return _Reader()

    @classmethod
    def measure(cls, config, reader, batches):
        return {}

    @classmethod
    def fit(cls, config, reader, statistics):
        return cls(cls.Fitted(name=cls.name))

    @property
    def specs(self):
        return (TensorSpec("numbers", (4,)), TensorSpec("counts", (None,), "int64"))

    def read(self, source):
        return np.load(source)

    def batch(self, items):
        return {
            "numbers": (items[:, :4] * self.fitted.factor).astype(np.float32),
            "counts": np.abs(items[:, 4:] * 10).astype(np.int64) % 20,
        }

    def find(self, paths):
        return list(paths)

    def describe(self, source):
        return str(source)

    def write(self, item, stem):
        np.save(f"{stem}.npy", item)
        return stem.with_name(f"{stem.name}.npy")

    def example(self, count, rng):
        return self.batch(rng.normal(0, 1, (count, 6)))


class TwoInputs(nn.Layer):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(20, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, numbers, counts):
        return self.head(numbers + self.embedding(counts).mean(axis=1))


def test_two_inputs_of_another_kind(tmp_path):
    data = labelled()
    rows = np.random.default_rng(3).normal(0, 1, (COUNT, 6)).astype(np.float32)
    other = Pairs(Pairs.Fitted(name="test_pairs", factor=3.0))
    everything = replace(data.validation.everything, store=ArrayStore(rows), input=other)

    def split(given):
        return type(given)(everything, given.indices)

    data = replace(
        data, train=split(data.train), validation=split(data.validation), test=split(data.test), input=other
    )
    paddle.seed(4)
    net = TwoInputs()
    bundle = make(tmp_path / "m", net, data, formats=["paddle_program"])
    assert bundle.verified, bundle.info.parity.describe()
    assert [(item.name, item.shape, item.dtype) for item in bundle.info.inputs] == [
        ("numbers", (4,), "float32"),
        ("counts", (None,), "int64"),
    ]
    assert bundle.info.parity.worst.startswith("validation row ")
    assert bundle.info.latency[0].p50_ms > 0
    assert (bundle.folder / "samples" / "0.npy").is_file()
    opened = Bundle.open(bundle.folder)
    assert opened.input.fitted.factor == 3.0
    assert check_samples(opened).passed
    [found] = Predictor(opened).predict([tmp_path / "m" / "samples" / "1.npy"])
    assert set(found.probabilities) == set(LABELS)

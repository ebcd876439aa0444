"""The chain: order, gates, what survives, the table, bundles."""

from __future__ import annotations

from typing import Any

import numpy as np
import paddle
import pytest

from paddle_automl.compression import chain as chain_module
from paddle_automl.compression.base import STEPS, Form, Outcome, Step
from paddle_automl.compression.bundling import create_step_bundle
from paddle_automl.compression.chain import compress
from paddle_automl.compression.config import CompressionConfig
from paddle_automl.compression.gates import gate
from paddle_automl.compression.measuring import Timings, time_networks
from paddle_automl.compression.results import StepResult
from paddle_automl.core.errors import ConfigError, UnsupportedError
from paddle_automl.core.loading import validate
from paddle_automl.deployment.config import DeploymentConfig
from paddle_automl.deployment.predictor import Predictor
from paddle_automl.deployment.samples import check_samples
from tests.unit.compression.small import context, digits, images, trained

SPEED = {"batch_sizes": [1], "gate_batch_size": 4, "rounds": 2, "runs": 1}
POST = {"name": "quantize_post", "analysis": False}


def config(*steps: Any, **options: Any) -> CompressionConfig:
    return validate(CompressionConfig, {"steps": list(steps), "speed": SPEED, **options})


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        (
            ["quantize_post", "prune_filters"],
            "steps.1: prune_filters needs a dense network.*put prune_filters before",
        ),
        (["quantize_aware", "quantize_post"], "steps.1: quantize_post needs a dense or sparse network"),
        (["prune_weights", "prune_filters"], "steps.1: prune_filters needs a dense network, .* it is sparse"),
        (["prune_weights", "distill"], "steps.1: distill"),
        (["distill", "quantize_post", "distill"], "steps.2: distill"),
    ],
)
def test_an_order_that_cannot_work_is_refused(steps, message):
    with pytest.raises(ConfigError, match=message):
        config(*steps)


def test_orders_that_work():
    config("prune_filters", "distill", "prune_weights", "quantize_aware")
    config("distill", "prune_filters", "quantize_post")
    config()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"steps": [{"name": "prune_filters", "ratio": 1.0}]}, "ratio.*less than 1"),
        (
            {"steps": [{"name": "prune_filters", "ratio": 0.5, "flops": 0.5}]},
            "only one of ratio, flops and latency",
        ),
        ({"steps": [{"name": "prune_weights", "ratio": 0.0}]}, "ratio.*greater than 0"),
        ({"steps": [{"name": "quantize_post", "observer": "median"}]}, "abs_max"),
        ({"steps": ["prune_filter"]}, "did you mean 'prune_filters'"),
        ({"max_drop": -0.1}, "max_drop"),
        ({"min_speedup": 0.0}, "min_speedup"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(ConfigError, match=message):
        validate(CompressionConfig, options)


def test_mistakes_are_found_before_the_first_step(monkeypatch):
    ran = []
    monkeypatch.setattr(STEPS["distill"], "apply", lambda *_: ran.append(1))
    with pytest.raises(
        ConfigError,
        match=r"compression.steps.1: quantize_post.skip: no layer is called 'backbone.stem.conv.con'.*did you mean",
    ):
        compress(trained(), config("distill", {**POST, "skip": ["backbone.stem.conv.con"]}), context())
    with pytest.raises(ConfigError, match="too few for 10 increases"):
        compress(trained(), config("distill", "prune_weights"), context())
    with pytest.raises(ConfigError, match=r"tune.epochs: must be at least 1"):
        compress(trained(), config({"name": "quantize_aware", "tune": {"epochs": 0}}), context())
    assert ran == []


class Fake(Step):
    """A step whose outcome a test decides."""

    outcome: Any = None

    def apply(self, model, context):
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return Outcome(self.outcome(model))


@pytest.fixture
def fakes(monkeypatch):
    """Let names of steps mean outcomes: a function from network to network, or an error."""

    def use(**outcomes: Any) -> CompressionConfig:
        classes = {}
        for name, (outcome, gain) in outcomes.items():
            cls = type(name, (Fake,), {"outcome": staticmethod(outcome) if callable(outcome) else outcome})
            cls.name, cls.gain = name, gain
            classes[name] = cls
        monkeypatch.setattr(chain_module, "STEPS", {name: cls for name, cls in classes.items()})
        steps = tuple(Step.Config(name=name) for name in classes)
        return config().model_copy(update={"steps": steps})

    return use


def spoiled(model):
    model = trained()
    model.fc.bias.set_value(paddle.to_tensor(np.eye(10, dtype="float32")[3] * 50))
    return model


def test_the_best_survives_whatever_fails(fakes):
    chosen = fakes(
        breaks=(UnsupportedError("no convolution"), "cost"),
        harms=(spoiled, "cost"),
        keeps=(lambda model: trained(), "metric"),
    )
    model = trained()
    result = compress(model, chosen, context())
    assert [item.name for item in result.steps] == ["before", "breaks", "harms", "keeps"]
    assert [item.kept for item in result.steps] == [True, False, False, True]
    assert result.steps[1].reason == "failed: no convolution"
    assert "accuracy is worse by" in result.steps[2].reason
    assert result.steps[2].drop > 0.5
    assert result.best.name == "keeps"
    assert [row["kept"] for row in result.table() if row["kept"]] == ["kept", "rejected", "rejected", "kept"]


def test_without_a_kept_step_the_network_before_is_the_best(fakes):
    model = trained()
    result = compress(model, fakes(harms=(spoiled, "cost")), context())
    assert result.best is result.before
    assert result.best.model is model
    assert result.shipped == []


def test_a_step_that_makes_nothing_faster_nor_smaller_is_rejected(fakes, monkeypatch):
    monkeypatch.setattr(Timings, "quartiles_over", lambda *_: [0.9, 0.95])
    result = compress(trained(), fakes(same=(lambda model: trained(), "cost")), context())
    assert not result.steps[1].kept
    assert "neither clearly faster nor smaller" in result.steps[1].reason


@pytest.mark.parametrize(
    ("batch", "single", "export_mb", "kept"),
    [
        ([1.3, 1.4], [1.0, 1.1], 2.0, True),
        ([1.01, 1.5], [1.0, 1.1], 2.0, False),  # the gain is in the noise
        ([1.3, 1.4], [0.8, 0.9], 2.0, False),  # slower for one item, and the bundle is no smaller
        ([1.3, 1.4], [0.9, 1.01], 2.0, True),
        ([0.8, 0.9], [0.8, 0.9], 0.9, True),
        ([0.8, 0.9], [0.8, 0.9], 1.0, False),
    ],
)
def test_what_is_a_gain(batch, single, export_mb, kept):
    small = StepResult("quantize_post", False, "", Form.QUANTIZED, None, None, weights_mb=0.1, export_mb=export_mb)
    small.step_speedups, small.speedup, small.weights_ratio = {"4": batch, "1": single}, 1.35, 0.1
    last = StepResult("before", True, "", Form.DENSE, None, None, weights_mb=0.9, export_mb=1.0)
    found, reason = gate(config(POST), "cost", small, last)
    assert found is kept
    assert "1.35 times as fast (batch 4)" in reason


def test_weights_alone_are_no_smaller_bundle(quantized):
    """The size is that of all files: the program of a quantized network has more operators."""
    before, after = quantized.steps
    assert before.export_mb > before.weights_mb
    assert after.export_mb > after.weights_mb
    assert after.export_ratio == pytest.approx(after.export_mb / before.export_mb)
    assert set(after.step_speedups) == {"1", str(config(POST).speed.gate_batch_size)}


def test_min_speedup_gates(fakes, monkeypatch):
    monkeypatch.setattr(Timings, "speedup_over", lambda *_: 1.5)
    chosen = fakes(same=(lambda model: trained(), "cost"))
    slow = compress(trained(), chosen.model_copy(update={"min_speedup": 1.6}), context())
    fast = compress(trained(), chosen.model_copy(update={"min_speedup": 1.4}), context())
    assert (slow.steps[1].kept, fast.steps[1].kept) == (False, True)
    assert "1.50 times as fast" in slow.steps[1].reason
    assert "required is 1.6" in slow.steps[1].reason


@pytest.fixture(scope="module")
def quantized():
    chosen = config({**POST, "analysis": True, "analysis_images": 32}, max_drop=0.05)
    return compress(trained(), chosen, context())


def test_the_table_has_all_precisions(quantized):
    before, after = quantized.steps
    assert set(before.latency) == {"float32", "bfloat16"}
    assert set(after.latency) == {"int8"}
    assert set(after.latency["int8"]) == {"1", "4"}
    assert before.latency["float32"]["4"]["speedup"] == 1.0
    rows = quantized.table()
    assert [row["precision"] for row in rows] == ["float32", "bfloat16", "int8"]
    assert quantized.as_dict()["steps"][1]["form"] == "quantized"


def test_int8_is_a_third_of_the_size_and_as_good(quantized):
    before, after = quantized.steps
    assert after.form is Form.QUANTIZED
    assert after.weights_ratio < 0.4
    assert abs(after.drop) <= 0.03
    assert (after.parameters, after.flops) == (before.parameters, before.flops)
    damage = dict(after.facts["damage"])
    assert set(damage) == set(after.facts["layers"])
    assert list(damage.values()) == sorted(damage.values(), reverse=True)


def test_an_int8_bundle_predicts_and_carries_its_parity_check(quantized, tmp_path):
    bundle = create_step_bundle(
        quantized.best,
        folder=tmp_path / "int8 压缩",
        context=context(),
        compression=config(POST),
        deployment=DeploymentConfig.model_validate({"latency": {"warmup": 1, "runs": 2}}),
        config={"model": {}},
        metrics={},
    )
    assert bundle.verified
    assert bundle.info.exporter.name == "paddle_program"
    assert bundle.info.parity.agreement >= bundle.info.parity.min_agreement == 0.95
    assert bundle.info.parity.samples == len(digits().validation)
    assert bundle.info.metrics["compression"]["score"] == pytest.approx(quantized.best.score, abs=1e-5)
    assert check_samples(bundle).passed
    predictor = Predictor(tmp_path / "int8 压缩")
    split = digits().validation
    found = predictor.predict_split(split).argmax(axis=1)
    assert (found == split.codes).mean() == pytest.approx(quantized.best.score, abs=0.01)


def test_a_float_bundle_gets_the_usual_parity_check(quantized, tmp_path):
    bundle = create_step_bundle(
        quantized.before,
        folder=tmp_path / "float",
        context=context(),
        compression=config(),
        deployment=DeploymentConfig.model_validate({"latency": {"warmup": 1, "runs": 2}}),
        config={},
        metrics={},
    )
    assert bundle.verified
    assert bundle.info.parity.max_difference == 1e-5


def test_timings_are_compared_round_by_round():
    # The second round is disturbed for both, one run of the third for the first network alone.
    slow = Timings(np.array([[4.0, 5.0], [40.0, 44.0], [4.0, 90.0]]))
    fast = Timings(np.array([[2.0, 2.5], [20.0, 21.0], [2.0, 2.0]]))
    assert fast.speedup_over(slow) == 2.0
    assert fast.quartiles_over(slow) == [2.0, 2.0]
    assert slow.p50_ms == 22.5


def test_several_networks_run_in_turns():
    class Counting:
        def __init__(self):
            self.sizes = []

        def __call__(self, arrays):
            self.sizes.append(len(arrays["image"]))
            return arrays["image"]

    first, second = Counting(), Counting()
    found = time_networks({"a": first, "b": second}, digits().input, 3, config().speed)
    assert first.sizes == second.sizes == [3] * 5
    assert found["a"].times.shape == (2, 1)


def test_images_for_calibration_are_the_same_each_time():
    first, second = context().sample(20, "calibration"), context().sample(20, "calibration")
    np.testing.assert_array_equal(first[0]["image"], second[0]["image"])
    assert not np.array_equal(first[1], context().sample(20, "sensitivity")[1])
    assert len(context().sample(10**6, "all")[1]) == len(digits().train)
    assert images(3).shape == (3, 1, 8, 8)
